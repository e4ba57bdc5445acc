"""The one NinjaAPI, mounted under /api/v1/."""

from ninja import NinjaAPI

api = NinjaAPI(title="汾阳追溯与召回 API", version="1", urls_namespace="api-v1")
