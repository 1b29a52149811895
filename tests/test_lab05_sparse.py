"""Lab 05 where sparse kernels are missing: one sentence, and the rest goes on."""

import warnings

import pytest
import torch
from notebooks import SOLUTIONS, read
from torch import nn

SOURCE = next(path for path in SOLUTIONS if path.name.startswith("05"))


@pytest.fixture
def run(capsys):
    """Runs cells of the solution by their ids; gives their names and what they say."""
    cells = {cell.id: cell.source for cell in read(SOURCE).cells}

    def cells_run(*names):
        scope = {"torch": torch, "nn": nn, "warnings": warnings}
        scope["fine_grained_prune"] = lambda weight, share: None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name in names:
                exec(cells[name], scope)
        return scope, capsys.readouterr().out

    return cells_run


def test_without_mkl_one_sentence_says_that_csr_is_left_out(run, monkeypatch):
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    scope, said = run("csr", "products")
    assert said.count("\n") == 1 and "left out" in said
    assert set(scope["ways"](0.5)) == {"zeros, dense", "fewer channels"}


def test_a_sparse_product_that_fails_counts_as_none(run, monkeypatch):
    def missing(*_, **__):
        raise RuntimeError("addmm: not implemented for SparseCsrCPU")

    monkeypatch.setattr(torch, "sparse_csr_tensor", missing)
    scope, said = run("csr")
    assert scope["sparse_kernels"] is False and "left out" in said


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="needs Intel's MKL")
def test_with_mkl_the_csr_way_gives_the_same_product(run):
    scope, said = run("csr", "products")
    assert scope["sparse_kernels"] is True and said == ""
    ways = scope["ways"](0.5)
    x = torch.randn(512, 3)
    expected = ways["zeros, dense"] @ x
    assert torch.allclose(ways["CSR"] @ x, expected, atol=1e-3)
