"""The State Hub for one machine: it accepts lifecycle events, keeps them, and shows the state that they add up to.

It knows events and nothing of hosts: no observation, no plan, no SSH. FastAPI and uvicorn come with the extra ``hub``,
and are imported only where the hub is served.
"""
