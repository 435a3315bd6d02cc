//! The contract of forges, kept on GitHub.

mod as_an_app {
    use crate::contract::forge::forge_contract;
    use crate::contract::forge::hosted::hosted_forge_contract;
    use crate::github::world::OnGitHub;

    forge_contract!(OnGitHub::new().await);
    hosted_forge_contract!(OnGitHub::new().await);
}

mod with_check_runs {
    use crate::contract::forge::hosted::hosted_forge_contract;
    use crate::github::world::{OnGitHub, Setup};

    hosted_forge_contract! {
        OnGitHub::with(Setup { checks: true, personal: false }).await;
        a_note_at_a_commit_is_left_once_for_each_key,
    }
}

mod with_a_persons_token {
    use crate::contract::forge::hosted::hosted_forge_contract;
    use crate::github::world::{OnGitHub, Setup};

    hosted_forge_contract! {
        OnGitHub::with(Setup { checks: true, personal: true }).await;
        a_repository_is_found_by_its_name,
        a_renamed_repository_is_followed,
        we_close_our_own_and_what_ended_stays,
        a_comment_is_made_once_and_brought_up_to_date,
        a_note_at_a_commit_is_left_once_for_each_key,
        decoration_is_added_once_and_passes_over_who_cannot_be_asked,
    }
}
