use super::*;

fn catalog() -> Catalog {
    serde_json::from_value(serde_json::json!([
        {"type": "compute", "name": "nova", "endpoints": [
            {"interface": "internal", "region": "two", "region_id": "two", "url": "http://internal.two/v2.1"},
            {"interface": "public", "region": "two", "url": "http://public.two/v2.1"},
            {"interface": "public", "region": "one", "region_id": "one", "url": "http://public.one/v2.1"},
            {"interface": "adminURL", "region": "two", "url": "http://admin.two/v2.1"},
        ]},
        {"type": "compute", "name": "nova2", "endpoints": [
            {"interface": "public", "region": "one", "url": "http://second.one/v2.1"},
        ]},
        {"type": "shared", "name": "s", "endpoints": [
            {"interface": "public", "region": "two", "url": "http://shared/"},
            {"interface": "public", "region": "one", "url": "http://shared"},
        ]},
        {"type": "old", "endpoints": [{"interface": "public", "region": "one", "url": "http://old.one"}]},
        {"type": "new", "endpoints": [{"interface": "public", "region": "one", "url": "http://new.one"}]},
        {"type": "elsewhere", "endpoints": [{"interface": "public", "region": "two", "url": "http://else.two"}]},
        {"type": "broken", "name": "b", "endpoints": [
            {"interface": "public", "region": "one", "url": "nowhere"},
        ]},
        {"type": "socket", "endpoints": [{"interface": "public", "region_id": "one", "url": "unix:/run/x"}]},
    ]))
    .unwrap()
}

/// Types, name, interface, region; the address and its region, or the kind of error with a part of its text.
type TestCase = (
    &'static [&'static str],
    Option<&'static str>,
    Interface,
    Region,
    Result<(&'static str, Option<&'static str>), (&'static str, &'static str)>,
);

fn check(cases: impl IntoIterator<Item = TestCase>) {
    for (types, name, interface, region, expected) in cases {
        let query = ServiceQuery {
            types,
            name,
            interface,
            region: &region,
            region_option: "os_region_name",
        };
        let got = catalog().find(&query);
        match (&got, expected) {
            (Ok(found), Ok((url, region))) => {
                assert_eq!((found.url.as_str(), found.region.as_deref()), (url, region));
            }
            (Err(error), Err((kind, part))) => {
                let is = match error {
                    CatalogError::Missing(_) => "missing",
                    CatalogError::Ambiguous(_) => "ambiguous",
                    CatalogError::Unusable(_) => "unusable",
                };
                assert_eq!(is, kind, "{error}");
                assert!(error.to_string().contains(part), "{error}");
            }
            _ => panic!("{query:?}: {got:?} instead of {expected:?}"),
        }
    }
}

fn named(region: &str) -> Region {
    Region::Named(region.to_owned())
}

fn preferred(region: &str) -> Region {
    Region::Preferred(region.to_owned())
}

const NOVA: &[&str] = &["compute"];

#[test]
fn the_endpoint_is_found_by_type_name_interface_and_region() {
    use Interface::{Admin, Internal, Public};
    check([
        (
            NOVA,
            Some("nova"),
            Internal,
            Region::Unset,
            Ok(("http://internal.two/v2.1", Some("two"))),
        ),
        (
            NOVA,
            Some("nova"),
            Public,
            named("two"),
            Ok(("http://public.two/v2.1", Some("two"))),
        ),
        (
            NOVA,
            Some("nova"),
            Public,
            named("one"),
            Ok(("http://public.one/v2.1", Some("one"))),
        ),
        (
            NOVA,
            Some("nova"),
            Admin,
            named("two"),
            Ok(("http://admin.two/v2.1", Some("two"))),
        ),
        (
            NOVA,
            Some("nova2"),
            Public,
            named("one"),
            Ok(("http://second.one/v2.1", Some("one"))),
        ),
        (
            NOVA,
            Some("nova2"),
            Public,
            named("two"),
            Err(("missing", "in region two")),
        ),
        (
            NOVA,
            Some("other"),
            Public,
            Region::Unset,
            Err(("missing", "name other")),
        ),
        (
            NOVA,
            None,
            Admin,
            named("one"),
            Err(("missing", "no admin endpoint")),
        ),
        (
            &["computev21"],
            None,
            Public,
            Region::Unset,
            Err(("missing", "compute:nova (internal@two")),
        ),
        (
            &["absent", "old"],
            None,
            Public,
            Region::Unset,
            Ok(("http://old.one/", Some("one"))),
        ),
        (
            &["new", "old"],
            None,
            Public,
            Region::Unset,
            Ok(("http://new.one/", Some("one"))),
        ),
        (
            &["broken"],
            None,
            Public,
            Region::Unset,
            Err(("unusable", "nowhere")),
        ),
        (
            &["socket"],
            Some("any"),
            Public,
            named("one"),
            Err(("unusable", "not http")),
        ),
    ]);
}

#[test]
fn of_several_endpoints_none_is_picked_by_its_order() {
    use Interface::{Internal, Public};
    check([
        (
            NOVA,
            Some("nova"),
            Public,
            Region::Unset,
            Err((
                "ambiguous",
                "compute in several regions, and no region is set: one (http://public.one/v2.1), two (http://public.two/v2.1). Set os_region_name",
            )),
        ),
        // Any name.
        (
            NOVA,
            None,
            Public,
            named("one"),
            Err(("ambiguous", "several public endpoints of compute in one region")),
        ),
        // The region of an older type counts, too.
        (
            &["elsewhere", "old"],
            None,
            Public,
            Region::Unset,
            Err(("ambiguous", "in several regions")),
        ),
        (
            &["elsewhere", "old"],
            None,
            Public,
            named("one"),
            Ok(("http://old.one/", Some("one"))),
        ),
        // One address for all regions is one target.
        (
            &["shared"],
            None,
            Public,
            Region::Unset,
            Ok(("http://shared/", None)),
        ),
        (
            &["shared"],
            None,
            Public,
            named("one"),
            Ok(("http://shared/", Some("one"))),
        ),
        // Keystone's region counts if the service is there, and hides no ambiguity if it is not.
        (
            NOVA,
            Some("nova"),
            Public,
            preferred("two"),
            Ok(("http://public.two/v2.1", Some("two"))),
        ),
        (
            NOVA,
            Some("nova"),
            Internal,
            preferred("keystone"),
            Ok(("http://internal.two/v2.1", Some("two"))),
        ),
        (
            NOVA,
            Some("nova"),
            Public,
            preferred("keystone"),
            Err(("ambiguous", "in several regions, and none of them is keystone")),
        ),
    ]);
}
