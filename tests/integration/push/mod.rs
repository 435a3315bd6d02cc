//! What becomes of a push, in whole worlds: faults, people, hostile input. Each test runs with the embedded store and with
//! DynamoDB, unless it has no state to speak of.
//!
//! Which test shows what the product must survive (other suites are named by their module):
//!
//! | bar | shown by |
//! |---|---|
//! | R1 killed between any two effects | `killed::killed_between_any_two_effects_it_goes_on`, `…_of_a_draft_…`, `process::*_is_killed_again_and_again_*` |
//! | R2 lost answers | `killed::when_every_answer_is_lost_nothing_is_done_twice` |
//! | R3, R4 seeded schedules, safeguards removed | `schedules` |
//! | R5 the same delivery again | `again::the_same_delivery_again_changes_nothing_whenever_it_comes` |
//! | R6 the same body under another id | `receiver::one_signed_body_under_many_delivery_ids_has_one_effect` |
//! | R7 lost and reordered pushes | `again::lost_and_reordered_pushes_find_what_one_scan_finds` |
//! | R8 no webhook, or 503 | `again::a_push_without_any_webhook_is_found_by_the_reconciler`, `lambda::receiver` |
//! | R9 sixteen workers | `rivals::sixteen_workers_take_one_case_and_ask_the_model_once` |
//! | R10 asleep past the lease | `rivals::who_sleeps_past_the_lease_writes_nothing_stale` |
//! | R11 closed, undone | `people::a_closed_pull_request_is_never_opened_again`, `people::a_merged_fix_is_trusted_…` |
//! | R12 a person's commit on our branch | `people::a_commit_of_a_person_on_our_branch_stays_its_tip`, `…_faster_than_our_record_…` |
//! | R13 a branch without a pull request | `people::our_branch_without_a_pull_request_gets_one` |
//! | R14 poison and redrive | `poison`, `refused::a_run_that_was_refused_goes_on_…`, `aws::inbox`, `aws::batch::the_command_line_shows_…` |
//! | R15 every kind of push | `receiver::every_kind_of_push_has_its_answer`, `again`, `large::a_push_of_twenty_five_megabytes_…` |
//! | R16 each dependency down | `outages::each_service_may_be_down_for_hours_…`, `outages::a_forge_that_is_gone_for_days_…`, `refused` |
//! | R17 throttled | `outages::what_a_throttled_forge_…`, `outages::a_short_wait_…`, `outages::a_repository_is_not_looked_up_…` |
//! | R18 the breaker | `limits::fifty_workers_probe_a_dead_model_once_a_cool_down` |
//! | R19 limits with lost answers | `limits::a_limit_holds_while_answers_are_lost_…`, `limits::many_workers_together_keep_the_limit` |
//! | R20 echoes and ping-pong | `echoes` |
//! | R21 contracts | `contract`, `local_store`, `aws`, `slack` |
//! | R22 size, a late index | `large` |
//! | R23 a hanging model | `sources::a_model_that_hangs_*`, `limits::work_is_laid_down_before_the_deadline_…` |
//! | S1, S2, S3 the receiver | `receiver`, `lambda::receiver`, `process::twenty_bodies_…`, `machinery::a_task_for_somebody_elses_…` |
//! | S3 foreign installations | `receiver::only_deliveries_of_our_installation_…`, `github::faults::a_repository_of_another_installation_…` |
//! | S4 injections | `injections`, `hostile` |
//! | S5 paths | `machinery::findings_in_machinery_…`, `machinery::a_chat_that_patches_machinery_…` |
//! | S6 symlinks | `hostile::a_symlink_is_never_followed` |
//! | S7 nothing is run | `hostile::nothing_that_the_repository_brings_is_run`, `hostile_repository` |
//! | S8 secrets | `secrets` |
//! | S9, S10 rendering | `injections`, the unit tests of `report` and `slack`, `slack::blocks` |
//! | S11 poisoned memory, guests | `sources::a_poisoned_memory_…`, `sources::only_what_a_member_said_…` |
//! | S12 a boasting model | `sources::what_a_model_claims_of_itself_opens_nothing` |
//! | S15 addresses | `machinery::an_address_in_anything_we_read_is_never_followed` |
//! | S17 a tampered trail | `tampered` |

mod again;
mod beside;
mod echoes;
mod hostile;
mod injections;
mod killed;
mod large;
mod limits;
mod machinery;
mod outages;
mod people;
mod poison;
mod process;
pub mod receiver;
mod refused;
mod rivals;
mod scanners;
mod secrets;
mod sources;
mod tampered;
