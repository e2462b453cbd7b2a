"""Who the users are: a pure function of the config. It tells nothing of what they like.

Shares are those of MovieLens-100K's 943 users. Profiles have a stream of their own, so that ratings are the
same with them and without.
"""

import numpy as np
import pyarrow as pa

from pipelines.sources.synthetic.catalogue import PROFILES_STREAM, stream
from pipelines.sources.synthetic.config import SyntheticConfig

PROFILES_SCHEMA = pa.schema(
    [
        ("user_id", pa.int64()),
        ("age", pa.int64()),
        ("gender", pa.string()),
        ("occupation", pa.string()),
        ("zip_code", pa.string()),
    ]
)
AGES = (7, 20, 23, 26, 29, 31, 35, 40, 46, 51, 73)
"""Ages at every tenth of the users, from the youngest to the oldest."""
WOMEN = 0.29
OCCUPATIONS = {
    "administrator": 84,
    "artist": 30,
    "doctor": 7,
    "educator": 101,
    "engineer": 71,
    "entertainment": 19,
    "executive": 34,
    "healthcare": 17,
    "homemaker": 7,
    "lawyer": 13,
    "librarian": 54,
    "marketing": 28,
    "none": 10,
    "other": 111,
    "programmer": 70,
    "retired": 15,
    "salesman": 13,
    "scientist": 33,
    "student": 208,
    "technician": 29,
    "writer": 48,
}
"""How many of a thousand users have which."""
ZIP_CODES = 90_000
"""Five digits from 10000 on: most users have one to themselves, as in MovieLens-100K."""


def profiles(config: SyntheticConfig) -> pa.Table:
    """The profile of each user, by id."""
    rng = stream(config, PROFILES_STREAM)
    ages = np.interp(rng.random(config.users), np.linspace(0, 1, len(AGES)), AGES).astype(np.int64)
    genders = np.where(rng.random(config.users) < WOMEN, "F", "M")
    edges = np.cumsum(list(OCCUPATIONS.values())) / sum(OCCUPATIONS.values())
    places = np.searchsorted(edges, rng.random(config.users), side="right")
    columns = {
        "user_id": np.arange(1, config.users + 1),
        "age": ages,
        "gender": genders,
        "occupation": np.array(list(OCCUPATIONS))[places],
        "zip_code": rng.integers(10_000, 10_000 + ZIP_CODES, config.users).astype(str),
    }
    return pa.table(columns, schema=PROFILES_SCHEMA)
