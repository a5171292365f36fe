"""An embedded broker that speaks the Kafka protocol, for laptops and tests."""
