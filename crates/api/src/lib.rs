//! Publish, manage, health and metrics over HTTP.
