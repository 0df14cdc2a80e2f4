//! A cell of Nova that is down.

use std::collections::BTreeSet;

use super::*;

#[tokio::test]
async fn instances_of_a_cell_that_is_down_stay_known() {
    for lists_unknown in [false, true] {
        let world = Arc::new(World::default());
        *world.lists_unknown.lock().unwrap() = lists_unknown;
        let gone = world.boot("a", 1);
        world.boot("a", 2);
        let mut watcher = world.watcher("one");
        world.round(&mut watcher).await;
        *world.cell_down.lock().unwrap() = true;
        for _ in 0..3 {
            world.pass(15);
            world.round(&mut watcher).await;
            let on = world.on("a").unwrap();
            assert!(
                on.contains("vm-1") && on.contains("vm-2"),
                "{lists_unknown}: {on}"
            );
        }
        // The instance was deleted while its cell was down.
        *world.cell_down.lock().unwrap() = false;
        world
            .servers
            .lock()
            .unwrap()
            .retain(|(server, _)| server.id != gone);
        for _ in 0..2 {
            world.pass(15);
            world.round(&mut watcher).await;
        }
        let on = world.on("a").unwrap();
        assert!(
            !on.contains("vm-1") && on.contains("vm-2"),
            "{lists_unknown}: {on}"
        );
    }
}

#[test]
fn changes_of_the_time_in_which_a_cell_was_down_are_read_again() {
    let at = |seconds: i64| Timestamp::from_micros(START + seconds * 1_000_000);
    let policy = Policy::default();
    let down = || ["a".to_owned()].into();
    let mut roster = Roster::default();
    let marker = ServerId(Uuid::from_u128(1));
    let more = ServerPage {
        next: Some(marker),
        ..ServerPage::default()
    };
    roster.take(PageRequest::Walk(None), at(0), more, &policy);
    roster.take(
        PageRequest::Walk(Some(marker)),
        at(15),
        ServerPage::default(),
        &policy,
    );
    let read = |roster: &mut Roster, seconds| {
        let ask = roster.first();
        roster.take(ask, at(seconds), ServerPage::default(), &policy);
        ask
    };
    read(&mut roster, 30);
    roster.note_cells(down());
    read(&mut roster, 600);
    roster.note_cells(down());
    assert_eq!(roster.known_up_to(), Some(at(600)), "other cells are current");
    roster.note_cells(BTreeSet::new());
    assert_eq!(roster.known_up_to(), Some(at(30)), "nothing of that cell is");
    assert_eq!(read(&mut roster, 615), PageRequest::Changes(at(30 - 120), None));
    roster.note_cells(BTreeSet::new());
    assert_eq!(roster.known_up_to(), Some(at(615)));
}
