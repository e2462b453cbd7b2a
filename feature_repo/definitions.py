"""The one file that Feast scans: it publishes the movies."""

from feature_repo.domains.movies import DOMAIN
from feature_repo.lock import lock_until_exit
from feature_repo.publish import feast_objects

if __name__ == "definitions":
    # Feast's own plan and apply import this file by its path, before they open the registry.
    lock_until_exit(DOMAIN.name)

_objects = feast_objects(DOMAIN, project=DOMAIN.name)

# Feast finds definitions by looking at the module's attributes.
project = _objects.project
globals().update({f"entity_{name}": entity for name, entity in _objects.entities.items()})
globals().update({f"view_{name}": view for name, view in _objects.views.items()})
globals().update({f"service_{name}": service for name, service in _objects.services.items()})
