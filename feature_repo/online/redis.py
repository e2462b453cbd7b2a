"""An online store in Redis that keeps the newest rows, in a layout of its own.

Feast's own has a Redis hash for each key, with the features of all views, and compares event timestamps in
the client, between a read and a write. Here a view's rows stand in `BUCKETS` hashes, each row as one field:
how many there are, and whether some were exchanged, can be asked for without looking at each. Redis itself
compares what is there with what comes, in a script, so that no other writer comes between. The names begin
with that of the home (see `identity`), so that any number of homes share a server.
"""

import secrets
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import Any
from zlib import crc32

from feast import Entity, FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from feast.infra.supported_async_methods import SupportedAsyncMethods
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Map
from feast.repo_config import RepoConfig
from pydantic import Field

from feature_repo.feast_internals import Held, OnlineRow, redis_client, redis_name, serialised_key
from feature_repo.home import space_for
from feature_repo.limits import default, limited, repeats
from feature_repo.online.newest import NEVER, Tally, WritesNewest, instant, order

BUCKETS = 16
ORDER = 20
"""Digits of an instant in a row, which thus compares as text."""
WEIGHT = 10
"""Digits of a row's checksum."""
SUM = b"#"
"""The field of a bucket that holds the sum of its rows' checksums; no key is called so."""
MOST_ROWS = 500
"""In one call of a script, during which Redis does nothing else."""

WRITE = """
local refused, new, change, whatever = 0, 0, 0, false
if ARGV[1] == 'newest' then
  redis.call('HDEL', KEYS[2], 'claim')
else
  whatever = redis.call('HGET', KEYS[2], 'claim') == ARGV[1]
end
for i = 2, #ARGV, 4 do
  local held = redis.call('HGET', KEYS[1], ARGV[i])
  if held and not whatever and string.sub(held, 1, 40) > ARGV[i + 1] then
    refused = refused + 1
  else
    if held then change = change - (tonumber(string.sub(held, 41, 50)) or 0) else new = new + 1 end
    change = change + tonumber(ARGV[i + 2])
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1] .. ARGV[i + 2] .. ARGV[i + 3])
  end
end
if change ~= 0 or new > 0 then
  local digits = string.format('%.0f', change)
  redis.call('HINCRBY', KEYS[1], '#', digits)
  if redis.call('HEXISTS', KEYS[2], 'rows') == 1 then
    redis.call('HINCRBY', KEYS[2], 'rows', new)
    redis.call('HINCRBY', KEYS[2], 'digest', digits)
  end
end
return refused
"""
"""Writes rows of a bucket, and notes what is expected then. Arguments: "newest", or a claim by which rows
replace whatever is there; then for each row its key, order, checksum and values.

A claim ends when another writer comes. So what was sent by one that gave up, and still arrives, replaces
nothing newer.
"""
TALLY = """
local found = redis.call('HMGET', KEYS[1], 'rows', 'digest')
for i = 2, #KEYS do
  found[#found + 1] = redis.call('HLEN', KEYS[i])
  found[#found + 1] = redis.call('HGET', KEYS[i], '#')
end
return found
"""
"""Gives rows and digest as they are expected, then fields and digest of each bucket."""


class NewestRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """What `online_store:` in feature_store.yaml may hold.

    Args:
        home: whose rows these are; without one, the names in Redis begin with the project's.
        answer_timeout: seconds that the server may take for an answer.
        key_ttl_seconds: none: a row is there until another replaces it.
    """

    type: str = "feature_repo.online.redis.NewestRedisOnlineStore"  # type: ignore[assignment]
    home: str | None = None
    answer_timeout: int = Field(default_factory=default)
    key_ttl_seconds: None = None

    @cached_property
    def space(self) -> tuple[str, ...]:
        """What all names begin with.

        Raises:
            MarqueeError: the home was never applied, or lives elsewhere by what it says of itself.
        """
        return () if self.home is None else (space_for(self.home),)


class NewestRedisOnlineStore(WritesNewest, RedisOnlineStore):
    """A Redis in which an older row never replaces a newer one; see the module."""

    # Feast's own reads its own layout.
    _read_features_per_fv = OnlineStore._read_features_per_fv

    @property
    def async_supported(self) -> SupportedAsyncMethods:
        # Feast's server then reads and writes by `online_read` and `online_write_batch`.
        return SupportedAsyncMethods(read=False, write=False)

    def _get_client(self, online_store_config: RedisOnlineStoreConfig) -> Any:
        """The client that all of Feast's store works with, too."""
        if self._client is None:
            assert isinstance(online_store_config, NewestRedisOnlineStoreConfig)
            address = limited(online_store_config.connection_string, online_store_config.answer_timeout)
            config = online_store_config.model_copy(update={"connection_string": address})
            super()._get_client(config).set_retry(repeats())
        return self._client

    def write(self, config: RepoConfig, view: FeatureView, rows: Sequence[OnlineRow], whatever: bool) -> int:
        """Write rows, as `KeepsNewest` says."""
        client, name = redis_client(self, config.online_store), _name(config, view)
        expected, mode = _expected(config, view), "newest"
        if whatever:
            mode = secrets.token_hex(8)
            client.hset(expected, "claim", mode)
        arguments: dict[str, list[Any]] = defaultdict(list)
        for row in rows:
            key, text = serialised_key(config, row[0]), Map(val=row[1]).SerializeToString()
            digits = "".join(f"{part - NEVER:0{ORDER}d}" for part in order(row))
            weight = f"{crc32(text, crc32(digits.encode())):0{WEIGHT}d}"
            arguments[_bucket(name, key)] += [key, digits, weight, text]
        most = 4 * MOST_ROWS
        with client.pipeline(transaction=False) as pipe:
            for bucket, given in arguments.items():
                for start in range(0, len(given), most):
                    pipe.eval(WRITE, 2, bucket, expected, mode, *given[start : start + most])
            return sum(pipe.execute())

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[Held]:
        name, keys = _name(config, table), [serialised_key(config, key) for key in entity_keys]
        asked: dict[str, dict[bytes, None]] = defaultdict(dict)
        for key in keys:
            asked[_bucket(name, key)][key] = None
        with redis_client(self, config.online_store).pipeline(transaction=False) as pipe:
            for bucket, among in asked.items():
                pipe.hmget(bucket, list(among))
            answers = pipe.execute()
        found = {
            key: row
            for among, rows in zip(asked.values(), answers, strict=True)
            for key, row in zip(among, rows, strict=True)
        }
        return [_held(found[key], requested_features) for key in keys]

    def keep_only(self, config: RepoConfig, view: FeatureView, keys: set[bytes]) -> None:
        """Remove all other keys, as `KeepsNewest` says."""
        client = redis_client(self, config.online_store)
        for bucket in _buckets(config, view):
            gone = [key for key in client.hkeys(bucket) if key not in keys and key != SUM]
            for start in range(0, len(gone), MOST_ROWS):
                client.hdel(bucket, *gone[start : start + MOST_ROWS])

    def is_empty(self, config: RepoConfig, view: FeatureView) -> bool:
        """Whether there is no row of the view."""
        there, _ = self.tallies(config, view)
        return there.rows == 0

    def expect(self, config: RepoConfig, view: FeatureView, rows: int) -> None:
        """Note what there is, as `KeepsNewest` says."""
        there, _ = self.tallies(config, view)
        noted = {"rows": rows, "digest": there.digest}
        redis_client(self, config.online_store).hset(_expected(config, view), mapping=noted)

    def tallies(self, config: RepoConfig, view: FeatureView) -> tuple[Tally, Tally | None]:
        """What there is and what ought to be, as `KeepsNewest` says."""
        names = [_expected(config, view), *_buckets(config, view)]
        rows, digest, *found = redis_client(self, config.online_store).eval(TALLY, len(names), *names)
        sums = [int(each) for each in found[1::2] if each is not None]
        there = Tally(sum(found[::2]) - len(sums), sum(sums))
        return there, None if rows is None or digest is None else Tally(int(rows), int(digest))

    def delete_table(self, config: RepoConfig, table: FeatureView) -> None:
        """Remove all rows of a view."""
        redis_client(self, config.online_store).unlink(_expected(config, table), *_buckets(config, table))

    def teardown(
        self,
        config: RepoConfig,
        tables: Sequence[FeatureView],
        entities: Sequence[Entity],  # noqa: ARG002
    ) -> None:
        for table in tables:
            self.delete_table(config, table)


def _name(config: RepoConfig, view: FeatureView) -> str:
    """What all names of a view begin with; no part of one has a colon."""
    return ":".join([*config.online_store.space, config.project, redis_name(config, view)])


def _buckets(config: RepoConfig, view: FeatureView) -> list[str]:
    """The names of the hashes that have a view's rows."""
    name = _name(config, view)
    return [f"{name}:{place}" for place in range(BUCKETS)]


def _expected(config: RepoConfig, view: FeatureView) -> str:
    """The name of the hash that says what there ought to be of a view."""
    return f"{_name(config, view)}:expected"


def _bucket(name: str, key: bytes) -> str:
    """The name of the one that has a key's row."""
    return f"{name}:{crc32(key) % BUCKETS}"


def _held(row: bytes | None, features: Sequence[str] | None) -> Held:
    """What a row says: its instant, and the values of those features, or all."""
    if row is None:
        return None, None
    values = Map.FromString(row[2 * ORDER + WEIGHT :]).val
    wanted = values if features is None else [name for name in features if name in values]
    return instant(int(row[:ORDER]) + NEVER), {name: values[name] for name in wanted}
