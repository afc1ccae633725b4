-- The store, and Dagster's own storage. Run once, when the volume is empty.
CREATE DATABASE store;
CREATE DATABASE dagster;
