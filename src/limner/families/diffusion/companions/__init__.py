"""What takes part beside a model: adapters, ControlNets, and what sees."""
