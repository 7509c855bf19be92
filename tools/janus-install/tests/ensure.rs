//! The real thing: the pinned package, the machine's own package client, the user's cache.
//!
//! Every test of the project that runs a graph gets its library in this way.

use janus_install::{Flavour, Origin, Request, Version, ensure, find, verify};

#[test]
fn the_cpu_library_is_there_after_ensure() {
    let request = Request::from_env().flavour(Flavour::Cpu);
    let library = ensure(&request, &|_| {}).unwrap_or_else(|error| panic!("{error}"));

    assert!(
        library.path.is_absolute() && library.path.is_file(),
        "{library:?}"
    );
    assert!(
        library
            .version
            .is_none_or(|version| version >= Version::MINIMUM),
        "{library:?}"
    );
    assert_eq!(find(&request).unwrap(), library);
    if library.origin == Origin::Cache {
        verify(&library).unwrap();
    }
}
