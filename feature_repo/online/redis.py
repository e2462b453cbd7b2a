"""Feast's Redis online store, keeping the newest rows.

Feast's own compares event timestamps in the client, between a read and a write, and drops a correction: a
row of the same instant with a newer `created_timestamp`. Here Redis itself compares, in one script a row, so
that no other writer comes between the comparison and the write.
"""

from collections.abc import Callable, Sequence
from typing import Any

from feast import FeatureView
from feast.infra.key_encoding_utils import serialize_entity_key_prefix
from feast.infra.online_stores.helpers import _mmh3, _redis_key, compute_versioned_name
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from feast.infra.supported_async_methods import SupportedAsyncMethods
from feast.repo_config import RepoConfig
from google.protobuf.timestamp_pb2 import Timestamp  # type: ignore[import-untyped]

from feature_repo.online.newest import NEVER, Row, instant, order

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
    """What `online_store:` in feature_store.yaml may hold: the same as for `type: redis`."""

    type: str = "feature_repo.online.redis.NewestRedisOnlineStore"  # type: ignore[assignment]


class NewestRedisOnlineStore(RedisOnlineStore):
    """Feast's interface to it; see the module."""

    @property
    def async_supported(self) -> SupportedAsyncMethods:
        # Feast's server then writes by `online_write_batch`.
        return SupportedAsyncMethods(read=True, write=False)

    def write(self, config: RepoConfig, view: FeatureView, rows: Sequence[Row], whatever: bool) -> int:
        """As `KeepsNewest`."""
        name = _name(config, view)
        life = config.online_store.key_ttl_seconds or 0
        mode = "whatever" if whatever else "newest"
        with self._get_client(config.online_store).pipeline(transaction=False) as pipe:
            for row in rows:
                key, values, _, _ = row
                event, created = order(row)
                stamp = Timestamp()
                stamp.FromDatetime(instant(event))
                fields: list[Any] = [f"_ts:{name}", stamp.SerializeToString()]
                for feature, value in values.items():
                    fields += [_mmh3(f"{name}:{feature}"), value.SerializeToString()]
                redis_key = _redis_key(config.project, key, config.entity_key_serialization_version)
                # Digits of fixed length, which compare as text.
                digits = f"{event - NEVER:020d}{created - NEVER:020d}"
                pipe.eval(SCRIPT, 1, redis_key, f"_order:{name}", f"_ts:{name}", mode, digits, life, *fields)
            return list(pipe.execute()).count(0)

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        self.write(config, table, data, whatever=False)
        if progress:
            progress(len(data))

    def keep_only(self, config: RepoConfig, view: FeatureView, keys: set[bytes]) -> None:
        """As `KeepsNewest`."""
        client, name = self._get_client(config.online_store), _name(config, view)
        project = config.project.encode()
        prefix = serialize_entity_key_prefix(list(view.join_keys))
        fields = [_mmh3(f"{name}:{feature.name}") for feature in view.features]
        fields += [f"_ts:{name}", f"_order:{name}"]
        with client.pipeline(transaction=False) as pipe:
            for key in client.scan_iter(_literally(prefix) + b"*" + _literally(project), count=1000):
                if key.removesuffix(project) not in keys:
                    pipe.hdel(key, *fields)
            pipe.execute()


def _name(config: RepoConfig, view: FeatureView) -> str:
    return str(compute_versioned_name(view, config.registry.enable_online_feature_view_versioning))


def _literally(text: bytes) -> bytes:
    """What a pattern of Redis takes for itself."""
    return b"".join(b"\\" + bytes([c]) if c in b"\\*?[]^" else bytes([c]) for c in text)
