"""Given cells: what a lab carries over stands in an earlier solution, word for word."""

import ast

import pytest
from notebooks import SOLUTIONS, answer, code, code_cells, notebook, read

from labcore.student.notebooks import tags


def definitions(cells):
    """The syntax trees of functions and classes, by their names."""
    trees = (ast.parse(cell.source) for cell in cells)
    kinds = ast.FunctionDef | ast.ClassDef
    return {
        node.name: ast.dump(node)
        for tree in trees
        for node in tree.body
        if isinstance(node, kinds)
    }


def differing(given, earlier):
    """Names in Given cells of one notebook that no earlier one defines like that."""
    known = {}
    for nb in earlier:
        known |= definitions(
            cell for cell in code_cells(nb) if "given" not in tags(cell)
        )
    cells = [cell for cell in code_cells(given) if "given" in tags(cell)]
    return [
        name for name, tree in definitions(cells).items() if known.get(name) != tree
    ]


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_a_given_function_equals_the_earlier_solution(path):
    earlier = [read(each) for each in SOLUTIONS if each.name < path.name]
    assert differing(read(path), earlier) == []


def test_another_comment_is_no_difference_and_another_word_is_one():
    solved = "def f(x):\n    ### BEGIN SOLUTION\n    return x + 1\n    ### END SOLUTION"
    first = notebook(answer("f", solved))
    same = notebook(code("given", "def f(x):\n    return x + 1  # so", tags=["given"]))
    other = notebook(code("given", "def f(x):\n    return 1 + x", tags=["given"]))
    assert differing(same, [first]) == []
    assert differing(other, [first]) == differing(same, []) == ["f"]
