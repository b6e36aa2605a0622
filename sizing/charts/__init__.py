"""CHARTS: what a chart shows, as data without a renderer."""
