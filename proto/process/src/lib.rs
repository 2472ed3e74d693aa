//! What every long-running Podgate program is made of, whatever it serves. A program passes in what is
//! its own (its name, its log's default level); nothing here knows SSH, Kubernetes or a container.

pub mod admin;
mod allocator;
pub mod audit;
pub mod bounds;
pub mod bucket;
pub mod cache;
pub mod config;
pub mod connection_slots;
pub mod daemon;
pub mod descriptors;
pub mod enrolment;
pub mod file_thread;
pub mod https;
pub mod jitter;
pub mod link;
pub mod listener;
pub mod log;
pub mod metrics;
pub mod mtls;
pub mod network;
pub mod pace;
pub mod ready;
pub mod reload;
pub mod shutdown;
pub mod slice;
pub mod token_rates;
pub mod version;
pub mod workers;
