from simulations.admin import session, simulation

__all__ = ["session", "simulation"]
