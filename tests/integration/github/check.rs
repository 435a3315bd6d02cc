//! What an operator is told about the set-up.

use codehealer::ports::ErrorKind;

use super::world::{OnGitHub, Setup};
use crate::support::github_api::permissions;

#[tokio::test]
async fn a_set_up_that_works_says_who_we_are() {
    let world = OnGitHub::new().await;
    world.git.write("a.py", "a = 1\n");
    let found = world.forge.check("acme/shop").await.unwrap();
    assert!(found.is_fine());
    let said = found.to_string();
    assert!(said.starts_with("codehealer[bot] in acme/shop, ") && said.contains(" of 5000 calls left"), "{said}");
    assert!(world.api.writes().is_empty(), "nothing was changed");
    let person = OnGitHub::with(Setup { checks: false, personal: true }).await;
    let found = person.forge.check("acme/shop").await.unwrap();
    assert!(found.is_fine() && found.login == "healer", "{found}");
    person.api.with(|world| world.repo("acme/shop").collaborators.insert("healer".to_owned(), "read".to_owned()));
    let found = person.forge.check("acme/shop").await.unwrap();
    assert_eq!((found.is_fine(), found.missing), (false, vec!["contents: write".to_owned()]), "who only reads");
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let world = OnGitHub::new().await;
    world.git.write("a.py", "a = 1\n");
    world.api.with(|world| world.rename("acme/shop", "store"));
    let found = world.forge.check("acme/shop").await.unwrap();
    assert!(found.renamed && found.repository == "acme/store", "{found}");
    world.api.with(|world| world.repo("acme/store").archived = true);
    let found = world.forge.check("acme/store").await.unwrap();
    assert!(found.archived && !found.is_fine() && found.to_string().contains("unarchive"), "{found}");
    world
        .api
        .with(|world| world.installations[0].permissions = permissions(&[("contents", "read"), ("metadata", "read")]));
    let found = world.another().check("acme/store").await.unwrap();
    assert_eq!(found.missing, ["contents: write", "pull_requests: write"]);
    world.api.with(|world| world.installations.clear());
    assert_eq!(world.another().check("acme/store").await.unwrap_err().kind, ErrorKind::Missing);
}
