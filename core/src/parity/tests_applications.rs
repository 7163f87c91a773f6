//! Each red flag of who works with the clusters: what raises it, what leaves it open, and what is clear.

use std::collections::{BTreeMap, BTreeSet};

use strum::IntoEnumIterator as _;

use super::tests_kit::*;
use super::*;
use crate::estate::partial::{Operations, Shown};
use crate::estate::release::KafkaRelease;
use crate::estate::{ClusterView, Committed, GroupKind, GroupState, GroupView, MemberView};

/// What is looked at.
struct Scene {
    look: ApplicationLook,
    blue: Inventory,
    green: Inventory,
}

impl Scene {
    /// Two clusters on which nothing is raised: one group of the plan, one producer, both measured.
    fn quiet() -> Self {
        let release = Some(KafkaRelease::new(4, 1));
        let view = ClusterView { groups: [("loans".to_owned(), consumer("loans-1"))].into(), ..ClusterView::default() };
        let look = ApplicationLook {
            blue: Ok(view),
            transactional_ids: Answer::Told(["pay-1".to_owned()].into()),
            green_takes_consumer_groups: Ok(true),
            measured: Sides { blue: Measured::Answered, green: Measured::Answered },
            planned: PlannedApplications {
                groups: ["loans".to_owned()].into(),
                transactional_ids: ["pay-1".to_owned()].into(),
            },
        };
        // What the kit's ACLs say stands in other tests: whoever asks an authorizer may be shown a part.
        let acls = Answer::Unavailable(Unavailable::NoAuthorizer);
        let of = |side| Inventory { release, acls: acls.clone(), ..cluster(side) };
        Scene { look, blue: of(Side::Blue), green: of(Side::Green) }
    }

    fn add_group(&mut self, id: &str, group: GroupView) {
        self.look.blue.as_mut().unwrap().groups.insert(id.to_owned(), group);
    }

    fn flags(&self) -> BTreeMap<RedFlagKind, RedFlag> {
        let parity = compare_inventories(&self.blue, &self.green, &scope());
        let parity = parity.with_applications(&self.look, &self.blue, &self.green);
        parity.flags.into_iter().map(|flag| (flag.kind, flag)).collect()
    }
}

fn consumer(client: &str) -> GroupView {
    let member = MemberView { client_id: client.to_owned(), ..MemberView::default() };
    GroupView {
        state: GroupState::Stable,
        protocol_type: "consumer".to_owned(),
        protocol: "range".to_owned(),
        members: vec![member],
        offsets: [("orders".to_owned(), [(0, Committed { offset: 1, leader_epoch: -1 })].into())].into(),
        ..GroupView::default()
    }
}

fn of_kind(kind: GroupKind, protocol_type: &str) -> GroupView {
    GroupView { kind, protocol_type: protocol_type.to_owned(), ..consumer("c") }
}

fn kinds() -> impl Iterator<Item = RedFlagKind> {
    RedFlagKind::iter().filter(|kind| *kind > RedFlagKind::BrokersDisagree)
}

type Raise = fn(&mut Scene);

const RAISED: &[(RedFlagKind, Raise, Gravity, &str)] = {
    use Gravity::{Blocks, Notes, Warns};
    use RedFlagKind as Kind;
    &[
        (
            Kind::TransactionalIds,
            |s| s.look.transactional_ids = Answer::Told(["pay-1".to_owned(), "pay-2".to_owned()].into()),
            Warns,
            "1 transactional ids that no producer of the plan has: pay-2",
        ),
        (
            Kind::StreamsGroups,
            |s| s.add_group("loans", of_kind(GroupKind::Streams, "")),
            Blocks,
            "the plan moves it: loans",
        ),
        (
            Kind::StreamsGroups,
            |s| s.add_group("counts", consumer("counts-0d2f-StreamThread-1-consumer")),
            Warns,
            "which the plan does not name: counts",
        ),
        (
            // The kit's blue has `app-store-changelog`.
            Kind::StreamsGroups,
            |s| s.add_group("app", GroupView { state: GroupState::Empty, members: Vec::new(), ..consumer("") }),
            Warns,
            "stopped, with topics beside it",
        ),
        (Kind::ConnectGroups, |s| s.add_group("connect-a", of_kind(GroupKind::Other, "connect")), Warns, "connect-a"),
        (
            Kind::ConsumerProtocol,
            |s| {
                s.add_group("new", of_kind(GroupKind::Consumer, ""));
                s.look.green_takes_consumer_groups = Ok(false);
            },
            Blocks,
            "does not take groups of the consumer protocol: new",
        ),
        (Kind::ShareGroups, |s| s.add_group("loans", of_kind(GroupKind::Share, "")), Blocks, "loans"),
        (
            Kind::StaticMembers,
            |s| {
                let mut group = consumer("a");
                group.members[0].instance_id = Some("pod-0".to_owned());
                s.add_group("still", group);
            },
            Notes,
            "1 members with a group.instance.id, in still",
        ),
        (Kind::Unmeasured, |s| s.look.measured.green = Measured::Nobody, Warns, "on green"),
    ]
};

#[test]
fn each_is_raised_by_its_fixture_and_clear_without_it() {
    let clear = Scene::quiet().flags();
    for kind in kinds() {
        assert_eq!(clear[&kind].state, RedFlagState::Clear, "{kind}");
        let raised: Vec<_> = RAISED.iter().filter(|(of, ..)| *of == kind).collect();
        // No cluster tells which clients connect.
        assert!(!raised.is_empty() || kind == RedFlagKind::OldClients, "{kind} has no fixture that raises it");
        for (_, raise, gravity, found) in raised {
            let mut scene = Scene::quiet();
            raise(&mut scene);
            let flag = &scene.flags()[&kind];
            assert_eq!(flag.state, RedFlagState::Raised(*gravity), "{flag:?}");
            assert!(flag.found.iter().any(|what| what.contains(found)) && !flag.advice.is_empty(), "{found}: {flag:?}");
        }
    }
}

#[test]
fn what_can_not_be_seen_is_unknown_and_never_clear() {
    type Hide = fn(&mut Scene);
    let hidden: [(&str, Hide); 4] = [
        ("no look", |s| s.look.blue = Err(trouble())),
        ("a filtered list", |s| s.look.blue.as_mut().unwrap().shown = Shown::Operations(Operations(0))),
        ("a broker that listed nothing", |s| s.look.blue.as_mut().unwrap().unlisted = Some(trouble())),
        ("a group that was not told", |s| {
            s.add_group("other", GroupView { trouble: Some(trouble()), ..GroupView::default() });
        }),
    ];
    let of_groups = |kind: &RedFlagKind| {
        use RedFlagKind as Kind;
        matches!(kind, Kind::StreamsGroups | Kind::ConnectGroups | Kind::ShareGroups | Kind::StaticMembers)
    };
    for (what, hide) in hidden {
        let mut scene = Scene::quiet();
        hide(&mut scene);
        let flags = scene.flags();
        for kind in kinds().filter(of_groups) {
            assert!(matches!(flags[&kind].state, RedFlagState::Unknown(_)), "{what}: {:?}", flags[&kind]);
        }
    }
    let mut scene = Scene::quiet();
    scene.blue.acls = Answer::Told(BTreeSet::new());
    let state = &scene.flags()[&RedFlagKind::TransactionalIds].state;
    assert!(matches!(state, RedFlagState::Unknown(_)), "coordinators leave ids out in silence: {state:?}");
    scene.look.transactional_ids = Answer::Told(BTreeSet::from(["other".to_owned()]));
    assert!(scene.flags()[&RedFlagKind::TransactionalIds].is_raised(), "what was found stands");
    let mut scene = Scene::quiet();
    scene.look.transactional_ids = Answer::Unavailable(Unavailable::NoAuthorizer);
    scene.look.green_takes_consumer_groups = Err(trouble());
    scene.look.measured.blue = Measured::Silent(trouble());
    for kind in [RedFlagKind::TransactionalIds, RedFlagKind::ConsumerProtocol, RedFlagKind::Unmeasured] {
        assert!(matches!(scene.flags()[&kind].state, RedFlagState::Unknown(_)), "{kind}");
    }
}

#[test]
fn clients_that_green_may_be_too_new_for_are_unknown_and_not_clear() {
    let release = |text: &str| text.parse::<KafkaRelease>().ok();
    for (blue, green, known) in
        [("3.9", "4.0", false), ("", "4.1", false), ("3.9", "", false), ("2.8", "3.9", true), ("4.0", "4.3", true)]
    {
        let mut scene = Scene::quiet();
        (scene.blue.release, scene.green.release) = (release(blue), release(green));
        let state = &scene.flags()[&RedFlagKind::OldClients].state;
        assert_eq!(*state == RedFlagState::Clear, known, "{blue} to {green}: {state:?}");
    }
}
