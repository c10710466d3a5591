"""What the HTTP servers share: refusals as RFC 9457 has them, the gate in front, bodies, an address, and a clean end.

It knows neither hosts nor events. FastAPI and uvicorn come with the extras ``hub`` and ``api``.
"""
