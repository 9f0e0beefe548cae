//! The contract of [`bongsu_core::log::Log`], held by every log of this crate.
//!
//! Each case is one function that is given the kind of log to make; the table at the end runs all cases for all kinds.
//! What only a log on disk can promise follows in modules of its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod concurrent;
mod damage;
mod directory;
mod fixture;
mod keys;
mod model;
mod numbers;
mod process;
mod reading;
mod restart;
mod trims;

macro_rules! contract {
    ($($module:ident { $($case:ident)* })*) => {
        mod memory {
            $($(#[test] fn $case() { super::$module::$case(super::fixture::Kind::Memory); })*)*
        }
        mod embedded {
            $($(#[test] fn $case() { super::$module::$case(super::fixture::Kind::Embedded); })*)*
        }
    };
}

contract! {
    numbers {
        events_are_numbered_in_order
        one_append_keeps_the_order_of_its_groups
        an_event_comes_back_as_it_went_in
        events_that_are_not_stored_take_numbers_but_no_offsets
        a_channel_is_described
        channels_are_listed_by_name
        the_bound_on_channels_refuses_the_group
        a_closed_log_takes_nothing_more
    }
    reading {
        a_read_is_after_and_up_to
        a_read_stops_at_its_budget
        the_newest_are_found
        the_newest_begin_after_what_was_lost
        events_are_counted
    }
    keys {
        a_retry_gets_the_first_answer
        a_key_is_free_again_after_its_window
        keys_of_others_and_of_other_channels_do_not_meet
        a_key_used_for_something_else_is_refused
        retries_within_one_append_are_found
        keys_hold_for_events_that_are_not_stored
        more_keys_than_the_bound_are_refused
    }
    concurrent {
        readers_see_one_consistent_view
    }
    trims {
        a_channel_never_keeps_more_events_than_its_bound
        events_can_be_trimmed_by_the_append_that_brought_them
        a_channel_never_keeps_more_bytes_than_its_bound
        events_older_than_the_bound_go
        the_bound_on_everything_takes_the_oldest_first
        a_read_tells_what_is_gone_exactly
        a_reset_drops_the_history_and_takes_a_number
        a_reset_among_publishes_drops_what_came_before_it
        trims_after_a_reset_are_told_as_expired
        many_events_due_at_once_are_trimmed_in_pieces
    }
}
