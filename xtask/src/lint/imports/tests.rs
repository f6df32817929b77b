//! What counts as naming a module, and what does not.

use std::path::Path;

use super::{declared, findings, module_of};

fn lines(file: &str, text: &str) -> Vec<usize> {
    findings(&module_of(Path::new(file), &["cli".to_owned()]), text).into_iter().map(|(line, _)| line).collect()
}

#[test]
fn a_module_may_use_what_stands_above_it_and_itself() {
    let text = "use crate::units::Uid;\nuse crate::{snapshot::Row, rates};\nuse self::inner::X;";
    assert_eq!(lines("rates.rs", text), [0; 0]);
}

#[test]
fn a_module_may_not_use_what_stands_below_it() {
    assert_eq!(lines("rates.rs", "use crate::view::View;"), [1]);
    assert_eq!(lines("rates.rs", "\nfn f() { crate::export::serve() }"), [2]);
    assert_eq!(lines("source/ebpf.rs", "use super::super::pipeline::Stage;"), [1]);
}

#[test]
fn every_member_of_a_group_is_looked_at() {
    let text = "use crate::{\n    units::{Nanos, Uid as U},\n    view::*,\n    config::{self, Config},\n    policy,\n};\nuse crate::export;";
    assert_eq!(lines("rates.rs", text), [3, 5, 7]);
}

#[test]
fn a_group_may_itself_climb_out_of_the_module() {
    assert_eq!(lines("rates/window.rs", "use super::{Rate, super::view::View};"), [1]);
    assert_eq!(lines("rates/window.rs", "use super::{Rate, super::units::Uid};"), [0; 0]);
}

#[test]
fn super_inside_an_inline_module_is_the_module_itself() {
    let text = "mod tests {\n    use super::*;\n    use super::view;\n}\nuse super::view;";
    assert_eq!(lines("rates.rs", text), [5]);
    let after = "mod a { mod b { use super::super::super::view; } }\nfn f() {}\nuse super::policy::P;";
    assert_eq!(lines("rates.rs", after), [1, 3]);
}

#[test]
fn comments_strings_and_visibilities_name_nothing() {
    let text = "//! [`crate::view::View`]\npub(crate) fn f() -> &'static str { \"crate::export::X\" }\npub(in crate::rates) struct S;";
    assert_eq!(lines("rates.rs", text), [0; 0]);
}

#[test]
fn paths_in_expressions_and_macros_count() {
    let text = "fn f() { let x = <crate::pipeline::P as T>::new(); }\nmacro_rules! m { () => { $crate::policy::p() } }";
    assert_eq!(lines("view.rs", text), [1, 2]);
}

#[test]
fn an_item_of_the_crate_root_hides_its_module() {
    assert_eq!(lines("view.rs", "use crate::Uid;"), [1]);
    assert_eq!(lines("view.rs", "use crate::*;"), [1]);
}

#[test]
fn only_the_ebpf_source_may_name_the_bpf_library() {
    let text = "use aya::Ebpf;";
    assert_eq!(lines("source/ebpf.rs", text), [0; 0]);
    assert_eq!(lines("source/ebpf/maps.rs", text), [0; 0]);
    for elsewhere in ["source/simulated.rs", "source.rs", "export/http.rs", "lib.rs", "main.rs"] {
        assert_eq!(lines(elsewhere, text), [1], "{elsewhere}");
    }
}

#[test]
fn a_module_without_a_place_is_reported_and_the_roots_are_free() {
    assert_eq!(lines("helpers.rs", "use crate::units::Uid;"), [1]);
    assert_eq!(lines("lib.rs", "pub use crate::pipeline::run;"), [0; 0]);
    assert_eq!(lines("main.rs", "mod x;"), [0; 0]);
}

#[test]
fn modules_of_the_program_may_use_the_whole_library_but_not_the_bpf_library() {
    assert_eq!(declared("mod cli;\nmod inline { }\n// mod no;\npub mod top;"), ["cli", "top"]);
    assert_eq!(lines("cli.rs", "use crate::pipeline::X;"), [0; 0]);
    assert_eq!(lines("cli/flags.rs", "use aya::Ebpf;"), [1]);
}
