"""From solutions to labs, and from labs to a class folder or an nbgrader course."""
