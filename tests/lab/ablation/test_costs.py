"""Operations and peak memory of rows."""

import pytest
import torch
import torch.nn.functional as F
from lab_toys import toy_loaded, toy_plan

from lipar_lab.ablation.costs import costs, counted_flops, rows_without_costs


def test_attention_and_products_are_counted_on_a_cpu() -> None:
    q, k = torch.rand(1, 2, 10, 8), torch.rand(1, 2, 30, 8)
    with counted_flops() as counter:
        F.scaled_dot_product_attention(q, k, k)
    assert counter.get_total_flops() == 2 * 2 * 10 * 30 * (8 + 8)
    with counted_flops() as counter:
        torch.rand(3, 4) @ torch.rand(4, 5)
    assert counter.get_total_flops() == 2 * 3 * 4 * 5


def test_pruned_rows_take_fewer_operations_than_the_dense_one_and_store_what_they_store() -> None:
    plan = toy_plan("step-matched")
    wanted = rows_without_costs(plan, [])
    lines = {line["row"]: line for line in costs(plan, toy_loaded(), wanted)}
    dense = lines["dense"]["flops"]
    assert 0.3 * dense < lines["paper"]["flops"] < 0.7 * dense
    assert lines["paper"]["flops"] == pytest.approx(lines["step-matched"]["flops"], rel=0.05)
    assert lines["dense"]["peak_bytes"] > lines["paper"]["peak_bytes"] > 0


def test_only_rows_without_costs_are_measured() -> None:
    plan = toy_plan("none")
    left = rows_without_costs(plan, [{"row": "dense", "kept": 0.5}, {"row": "none", "kept": 0.3}])
    assert [(row.name, kept) for row, kept in left] == [("none", 0.5), ("paper", 0.5)]
    assert list(costs(plan, toy_loaded(), [])) == []
