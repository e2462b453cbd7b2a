"""Feast's Redis online store, keeping the newest rows.

Feast's own compares event timestamps in the client, between a read and a write, and drops a correction: a
row of the same instant with a newer `created_timestamp`. Here Redis itself compares, in one script a row, so
that no other writer comes between the comparison and the write.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from feast import FeatureView
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from feast.infra.supported_async_methods import SupportedAsyncMethods
from feast.repo_config import RepoConfig
from google.protobuf.timestamp_pb2 import Timestamp  # type: ignore[import-untyped]

from feature_repo.feast_internals import (
    Row,
    redis_client,
    redis_field,
    redis_key,
    redis_key_prefix,
    redis_name,
)
from feature_repo.online.newest import NEVER, WritesNewest, instant, order

SCRIPT = """
local held = redis.call('HMGET', KEYS[1], ARGV[1], ARGV[2])
if ARGV[3] == 'newest' and held[1] and held[2] and held[1] > ARGV[4] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[4], unpack(ARGV, 6))
if ARGV[5] ~= '0' then redis.call('EXPIRE', KEYS[1], ARGV[5]) end
return 1
"""
"""Arguments: the fields of the order and of Feast's timestamp; "newest" or "whatever"; the order; seconds
that the key lives (0: for ever); fields and values. An order without a timestamp is of a deleted view."""


class NewestRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """What `online_store:` in feature_store.yaml may hold: what it may hold for `type: redis`."""

    type: str = "feature_repo.online.redis.NewestRedisOnlineStore"  # type: ignore[assignment]


class NewestRedisOnlineStore(WritesNewest, RedisOnlineStore):
    """A Redis in which an older row never replaces a newer one; see the module."""

    @property
    def async_supported(self) -> SupportedAsyncMethods:
        # Feast's server then writes by `online_write_batch`.
        return SupportedAsyncMethods(read=True, write=False)

    def write(self, config: RepoConfig, view: FeatureView, rows: Sequence[Row], whatever: bool) -> int:
        """Write rows, as `KeepsNewest` says."""
        name = redis_name(config, view)
        life = config.online_store.key_ttl_seconds or 0
        mode = "whatever" if whatever else "newest"
        with redis_client(self, config.online_store).pipeline(transaction=False) as pipe:
            for row in rows:
                key, values, _, _ = row
                event, created = order(row)
                stamp = Timestamp()
                stamp.FromDatetime(instant(event))
                fields: list[Any] = [f"_ts:{name}", stamp.SerializeToString()]
                for feature, value in values.items():
                    fields += [redis_field(name, feature), value.SerializeToString()]
                # Digits of fixed length, which compare as text.
                digits = f"{event - NEVER:020d}{created - NEVER:020d}"
                where = redis_key(config, key)
                pipe.eval(SCRIPT, 1, where, f"_order:{name}", f"_ts:{name}", mode, digits, life, *fields)
            return list(pipe.execute()).count(0)

    def keep_only(self, config: RepoConfig, view: FeatureView, keys: set[bytes]) -> None:
        """Remove all other keys, as `KeepsNewest` says."""
        name, project = redis_name(config, view), config.project.encode()
        fields = [redis_field(name, feature.name) for feature in view.features]
        fields += [f"_ts:{name}".encode(), f"_order:{name}".encode()]
        with redis_client(self, config.online_store).pipeline(transaction=False) as pipe:
            for key in self._keys(config, view):
                if key.removesuffix(project) not in keys:
                    pipe.hdel(key, *fields)
            pipe.execute()

    def is_empty(self, config: RepoConfig, view: FeatureView) -> bool:
        """Whether no key has a row of the view: all keys are looked at until one has."""
        client, stamp = redis_client(self, config.online_store), f"_ts:{redis_name(config, view)}"
        return not any(client.hexists(key, stamp) for key in self._keys(config, view))

    def _keys(self, config: RepoConfig, view: FeatureView) -> Iterator[bytes]:
        """The keys that Redis has of a view's entities."""
        pattern = _literally(redis_key_prefix(view)) + b"*" + _literally(config.project.encode())
        yield from redis_client(self, config.online_store).scan_iter(pattern, count=1000)


def _literally(text: bytes) -> bytes:
    """A pattern of Redis that only this text matches."""
    return b"".join(b"\\" + bytes([c]) if c in b"\\*?[]^" else bytes([c]) for c in text)
