"""The State Hub for one machine: takes lifecycle events, keeps them, and shows what they add up to.

It knows events and nothing of hosts: no look, no plan, no SSH. FastAPI and uvicorn come with the extra
``hub``, and are imported only where the hub is served.
"""
