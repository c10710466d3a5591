"""Parts shared by the HTTP servers: RFC 9457 problems, the gate, request bodies, listening, and a clean shutdown.

This package knows neither hosts nor events. FastAPI and uvicorn come with the extras ``hub`` and ``api``.
"""
