"""Recipes: checked before any work, plain data and back, one digest for one training."""

import json
from dataclasses import replace
from typing import Any

import pytest

from common.errors import MarqueeError
from feature_repo.define.task import Binary, Ordinal, Regression
from feature_repo.domains.movies import DOMAIN
from tests.toy_domain import PRESS
from tests.training_runs import LIKED, liked_from, prepared, recipe
from training.models import MODELS, model
from training.recipe import Recipe, recipe_of, service_for, task_of

TASKS = (
    LIKED,
    Binary("liked", "rating", 4.0, below=3.0, says="liked"),
    Regression("stars", "rating"),
    Ordinal("stars", "rating", (1.0, 2.0, 3.0)),
)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: type(task).__name__)
def test_comes_back_from_json_as_it_was(task: Any) -> None:
    made = recipe("gbt", task=task, config={"leaves": 9}, seed=5, shares=(0.6, 0.2, 0.2), leak="x")
    back = Recipe.from_json(json.loads(json.dumps(made.as_json())))
    assert back == made
    assert back.digest() == made.digest()
    assert back.settings == made.settings


def test_settings_survive_for_every_model() -> None:
    for key in MODELS:
        made = recipe(key)
        assert Recipe.from_json(json.loads(json.dumps(made.as_json()))).settings == made.settings
        assert made.settings == model(key).config_class()


def test_each_part_of_a_recipe_changes_its_digest() -> None:
    made = recipe("gbt")
    others = [
        recipe("logistic"),
        recipe("gbt", config={"leaves": 9}),
        recipe("gbt", task=liked_from(4.0)),
        recipe("gbt", protocol="paper"),
        recipe("gbt", split="random"),
        recipe("gbt", shares=(0.6, 0.2, 0.2)),
        recipe("gbt", split_seed=1),
        recipe("gbt", seed=1),
        recipe("gbt", leak="user_rating_stats"),
        replace(made, domain="press"),
        replace(made, service="din_v1"),
    ]
    digests = {made.digest(), made.digest(data="1"), *(other.digest() for other in others)}
    assert len(digests) == 2 + len(others)
    assert recipe("gbt", config={"leaves": 15}).digest() == made.digest()  # 15 is the default


def test_what_leaks_is_said() -> None:
    assert not recipe("gbt").is_leaky
    for options in ({"protocol": "paper"}, {"split": "random"}, {"leak": "user_rating_stats"}):
        assert recipe("gbt", **options).is_leaky


@pytest.mark.parametrize(
    ("model_key", "options", "sentence"),
    [
        ("dinn", {}, "no model 'dinn': did you mean din"),
        ("din", {"config": {"epochs": 3}}, "no setting epochs"),
        ("gbt", {"protocol": "hones"}, "Unknown protocol 'hones': choose one of honest, paper"),
        ("gbt", {"split": "foo"}, "There is no split 'foo': known: time, random"),
        ("gbt", {"shares": (0.5, 0.5, 0.5)}, "add up to 1"),
        ("logistic", {"task": TASKS[2]}, "logistic cannot learn stars, a regression task"),
        ("din", {"task": TASKS[2], "config": {"training.monitor": "auc"}}, "no monitor of stars 'auc'"),
    ],
)
def test_what_cannot_work_is_refused_before_any_work(
    model_key: str, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(MarqueeError, match=sentence):
        recipe(model_key, **options)


def test_a_model_reads_its_own_service_or_the_domains_only_one() -> None:
    assert service_for(DOMAIN, model("mmdin")) == "mmdin_v1"
    assert recipe_of(PRESS, "din").service == "press_v1"
    two = replace(PRESS, services={"a_v1": PRESS.views, "b_v1": PRESS.views})
    with pytest.raises(MarqueeError, match=r"din reads din_v1, which press does not have: .* a_v1, b_v1"):
        service_for(two, model("din"))
    assert recipe_of(two, "din", service="b_v1").service == "b_v1"
    with pytest.raises(MarqueeError, match="no feature service 'c_v1'"):
        recipe_of(two, "din", service="c_v1")


def test_a_task_is_found_by_its_name() -> None:
    assert task_of(DOMAIN, None) is LIKED
    assert task_of(DOMAIN, "liked") is LIKED
    with pytest.raises(MarqueeError, match="no task 'like': did you mean liked"):
        task_of(DOMAIN, "like")


def test_rows_made_for_another_recipe_are_refused() -> None:
    given = prepared("gbt_v1", 20)
    given.check_recipe(recipe("gbt"))
    for other, sentence in (
        (recipe("din"), "din reads din_v1, but the features are those of gbt_v1"),
        (recipe("gbt", protocol="paper"), "protocol is paper, but the rows were made for honest"),
        (recipe("gbt", task=liked_from(4.0)), "task is .* but the rows were made for"),
        (replace(recipe("gbt"), domain="press"), "domain is press, but the rows were made for marquee"),
    ):
        with pytest.raises(MarqueeError, match=sentence):
            given.check_recipe(other)
