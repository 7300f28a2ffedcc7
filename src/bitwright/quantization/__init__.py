"""What is asked (Recipe), what a runtime accepts (Target), what was decided (Plan), and who decides (planner)."""
