"""Alerts: what a rule asks for, one message an event, delivered at least once from the outbox."""

from trapsort.alerts.dispatch import Alerts, Outcome

__all__ = ["Alerts", "Outcome"]
