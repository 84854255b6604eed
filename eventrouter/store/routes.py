"""HTTP APIs: the catalogue of their records, by id."""

from __future__ import annotations

from eventrouter.rules.http_api import HttpApi
from eventrouter.store.catalogue import Catalogue
from eventrouter.store.connect import Scripts
from eventrouter.store.keys import Keys


class Routes(Catalogue[HttpApi]):
    """Every HTTP API of the installation, its routes and integrations within."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        super().__init__(scripts, keys, name="routes", record=HttpApi, key=lambda api: api.id)
