"""The HTTP API of a fleet, ``sandboxer serve``: it calls ``sandboxer.Client`` and keeps no state of its own.

FastAPI, uvicorn, limits and the Prometheus client come with the extra ``api``, and are imported only where the API is
served.
"""
