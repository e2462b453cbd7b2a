"""The domains that commands know by name."""

import pytest

from app.domains import DOMAINS, domain_named
from common.errors import MarqueeError


def test_domains_are_found_by_the_names_that_people_type() -> None:
    assert list(DOMAINS) == ["movies", "criteo", "avazu", "synthetic_clicks"]
    assert domain_named("movies").events.name == "ratings"
    assert domain_named("avazu").events.name == "clicks_avazu"


def test_an_unknown_domain_is_one_sentence_with_the_nearest_name() -> None:
    with pytest.raises(MarqueeError, match=r"There is no domain 'critoe': did you mean criteo\?"):
        domain_named("critoe")


def test_domains_share_no_table() -> None:
    names = [name for domain in DOMAINS.values() for name in domain.tables]
    assert len(set(names)) == len(names)
