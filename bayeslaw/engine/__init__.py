"""The engine: from a card and runs to draws, and from draws to forecasts."""
