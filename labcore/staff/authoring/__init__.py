"""From solutions to labs, to a class's folder or its nbgrader course."""
