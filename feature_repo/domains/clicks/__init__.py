"""Click logs: what was shown, and whether it was clicked; one domain each."""

from feature_repo.domains.clicks.avazu import AVAZU
from feature_repo.domains.clicks.criteo import CRITEO, SYNTHETIC

LOGS = {log.name: log for log in (CRITEO, AVAZU, SYNTHETIC)}
"""By name."""
