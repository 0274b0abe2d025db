//! The language itself: templates, references, comments, and what of Terraform's is refused.

use super::*;

/// What the environment variable `V` comes to.
fn evaluated(expression: &str) -> String {
    let lines = format!("env {{\n key = \"V\"\n value = {expression}\n}}");
    first_container(&container(&lines)).env["V"].clone()
}

/// An error in the value of the environment variable `V`.
#[track_caller]
fn refused(expression: &str, expected: &str) {
    let lines = format!("env {{\n key = \"V\"\n value = {expression}\n}}");
    assert_error(&container(&lines), expected);
}

#[test]
fn strings_templates_and_heredocs() {
    let reference = "${stackpath_compute_workload.web.slug}";
    for (expression, value) in [
        ("\"a\\n\\\"b\\\"\\u00e9\"", "a\n\"b\"é"),
        ("\"$${a}\"", "${a}"),
        ("\"%%{a}\"", "%{a}"),
        (
            &format!("\"<{reference}-${{8000}}-${{true}}>\""),
            "<web-8000-true>",
        ),
        ("\"${\"${\"a\"}\"}\"", "a"),
        ("(\"a\")", "a"),
        ("<<EOF\n  a\n b\nEOF", "  a\n b\n"),
        ("<<-EOF\n    a\n      b\n    EOF", "a\n  b\n"),
        (
            &format!("<<-EOF\n    x = {reference}\n    EOF"),
            "x = web\n",
        ),
        ("[\"a\", \"b\"][1]", "b"),
        ("{ a = { b = \"c\" } }.a[\"b\"]", "c"),
    ] {
        assert_eq!(evaluated(expression), value, "{expression}");
    }
}

#[test]
fn comments_are_no_matter() {
    let text = workload("")
        .replace("slug", "# one\n// two\n/* three\n “ */ slug")
        .replace("{\n", "{ # “four”\n");
    assert_eq!(read_one(&text), read_one(&workload("")));
}

#[test]
fn line_ends_of_windows_are_line_ends() {
    assert_eq!(read_one(&STORY.replace('\n', "\r\n")), read_one(STORY));
}

#[test]
fn references_between_resources() {
    let other = workload("labels = { a = \"x\" }")
        .replace("_workload\" \"web\"", "_workload\" \"other\"")
        .replace("slug = \"web\"", "slug = \"other-${var.v}\"");
    let declare = "variable \"v\" {\n default = 1\n}\n";
    let path = |path: &str| {
        let lines =
            format!("env {{\n key = \"V\"\n value = stackpath_compute_workload.other.{path}\n}}");
        let text = format!("{declare}{}{other}", container(&lines));
        let declarations = try_read(&text).unwrap();
        declarations.workloads[0].workload.containers[0].env["V"].clone()
    };
    assert_eq!(path("slug"), "other-1");
    assert_eq!(path("labels[\"a\"]"), "x");
    assert_eq!(path("labels.a"), "x");
    assert_eq!(path("target[0].selector[0].values[0]"), "SEA");
    assert_eq!(path("container.0.image"), "web:1");
}

#[test]
fn a_reference_that_leads_nowhere() {
    refused(
        "§stackpath_compute_workload.wbe.slug",
        "there is no stackpath_compute_workload \"wbe\"; expected `stackpath_compute_workload.web`",
    );
    refused(
        "§stackpath_compute_workload.web",
        "this names no attribute of a stackpath_compute_workload; expected `stackpath_compute_workload.NAME.slug`",
    );
    refused(
        "§stackpath_compute_workload.web.instances",
        "`stackpath_compute_workload.web.instances` is not known here; expected an attribute that is set there, or `annotations[\"anycast.platform.stackpath.net/subnets\"]` for the VIPs; `lbctl workload status` shows instances",
    );
    refused(
        "§TCP",
        "`TCP` is no value; expected a string in quotes, such as \"TCP\"",
    );
    refused(
        "§aws_instance.a.id",
        "there is no `aws_instance` to refer to; expected `var.NAME` or `stackpath_compute_workload.NAME.slug`",
    );
    refused(
        "[1]§[2]",
        "there is no [2] in a list of 1; expected something that is there",
    );
    refused(
        "{ a = 1 }§.b",
        "there is no \"b\" in the map; expected something that is there",
    );
    refused(
        "\"a-${§[1]}\"",
        "a list is put into a string; expected a string, a number or a bool",
    );
    refused(
        "§\"${stackpath_compute_workload.web.annotations[\"anycast.platform.stackpath.net/subnets\"]}\"",
        "`container[0].env[0].value`: it is known only after apply; expected a string",
    );
}

#[test]
fn references_in_a_circle() {
    let errors = try_read(&workload("").replace(
        "slug = \"web\"",
        "slug = stackpath_compute_workload.web.slug",
    ))
    .unwrap_err();
    assert_eq!(
        errors.0[0].problem,
        "`stackpath_compute_workload.web.slug` refers to itself, or through too many others"
    );
}

/// Each line doubles the one before it, ten thousand times over.
// Promise: W1
#[test]
fn a_string_that_would_fill_the_memory_is_refused() {
    let mut text = String::new();
    for index in 0..16 {
        let next = format!("${{stackpath_compute_workload.w{}.name}}", index + 1).repeat(50);
        let body = format!("name = \"{next}\"\nslug = \"w{index}\"\n{CONTAINER}{TARGET}");
        text += &resource(&body).replace("\"web\" {", &format!("\"w{index}\" {{"));
    }
    assert!(try_read(&text).is_err());
    let mut text = String::new();
    let long = "x".repeat(10_000);
    for index in 0..4 {
        let next = match index {
            3 => long.clone(),
            _ => format!("${{stackpath_compute_workload.w{}.name}}", index + 1).repeat(5),
        };
        let body = format!("name = \"{next}\"\nslug = \"w{index}\"\n{CONTAINER}{TARGET}");
        text += &resource(&body).replace("\"web\" {", &format!("\"w{index}\" {{"));
    }
    let errors = try_read(&text).unwrap_err();
    assert_eq!(errors.0[0].problem, "the string is too long");
}

// Promise: W2
#[test]
fn what_terraform_evaluates_and_we_do_not() {
    let expected =
        ", and those are not evaluated here; expected a literal, a reference or a string template";
    for (expression, problem) in [
        ("§upper(\"a\")", "`upper(...)` is a function call"),
        ("\"a-${§file(\"x\")}\"", "`file(...)` is a function call"),
        (
            "§true ? \"a\" : \"b\"",
            "`... ? ... : ...` is a conditional",
        ),
        ("§1 + 1", "this is an operation"),
        ("§!true", "this is an operation"),
        ("§[for x in [1] : x]", "this is a `for` expression"),
        ("[\"a\"]§[*]", "`*` is a splat"),
        ("\"§%{ if true }a%{ endif }\"", "`%{...}` is a directive"),
    ] {
        refused(expression, &format!("{problem}{expected}"));
    }
    for (root, why) in [
        ("local", "local values are"),
        ("module", "modules are"),
        ("data", "data sources are"),
        ("each", "`for_each` and `count` are"),
    ] {
        refused(
            &format!("§{root}.a.b"),
            &format!(
                "`{root}` cannot be used, for {why} not supported here; expected a literal, `var.NAME` or another resource's attribute"
            ),
        );
    }
    for (block, what) in [
        (
            "module \"m\" {\n source = \"./m\"\n}",
            "`module`: modules are",
        ),
        ("data \"a\" \"b\" {\n}", "`data`: data sources are"),
        ("locals {\n a = 1\n}", "`locals`: local values are"),
        ("moved {\n}", "`moved`: such blocks are"),
    ] {
        assert_error(
            &format!("§{block}"),
            &format!(
                "{what} not supported: this is no Terraform, and reads only workloads; expected only terraform, variable, provider, output, resource"
            ),
        );
    }
    let several = "makes several of one block; expected each block written out, for that is not supported here";
    for lines in ["§count = 2", "§for_each = toset([\"a\"])"] {
        let name = &lines["§".len()..lines.find(' ').unwrap()];
        assert_error(&workload(lines), &format!("`{name}` {several}"));
    }
    let dynamic = "§dynamic \"env\" {\n for_each = []\n}";
    assert_error(&container(dynamic), &format!("`dynamic` {several}"));
    assert_error(
        "resource §\"aws_instance\" \"a\" {\n}",
        "`resource`: a resource \"aws_instance\" cannot be made; expected only \"stackpath_compute_workload\": this is no Terraform",
    );
}

#[test]
fn typographic_quotes_are_read_with_a_warning() {
    let text = STORY
        .replace(
            "name = \"my-anycast-workload\"",
            "name = “my-anycast-workload”",
        )
        .replace("[\"DFW\", \"SEA\"]", "[„DFW“, ‘SEA’]");
    let declarations = try_read(&text).unwrap();
    assert_eq!(declarations.workloads[0].workload, read_one(STORY));
    let warnings: Vec<String> = declarations
        .warnings
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        warnings,
        [
            "main.tf:35:10: the typographic quote “ is read as \"",
            "main.tf:35:30: the typographic quote ” is read as \"",
            "main.tf:110:19: the typographic quote „ is read as \"",
            "main.tf:110:23: the typographic quote “ is read as \"",
            "main.tf:110:26: the typographic quote ‘ is read as \"",
            "main.tf:110:30: the typographic quote ’ is read as \"",
        ]
    );
}

#[test]
fn a_text_that_is_not_in_the_language() {
    for (text, expected) in [
        (
            "resource \"a\" \"b\" {§",
            "the text ends too early; expected",
        ),
        ("name = §", "cannot be read: name =; expected"),
        ("name = \"a§", "cannot be read: name = \"a; expected"),
        ("a {\n b = [1,\n c§ d\n}", "cannot be read: c d; expected"),
    ] {
        let (text, _) = unmark(text);
        let errors = try_read(&text).map(|_| ()).expect_err(&text);
        assert!(errors.to_string().contains(expected), "{errors}");
    }
}

/// Whatever the text, there is an answer, and its place is in the file.
// Promise: W1
#[test]
fn the_story_cut_off_anywhere_never_panics() {
    let lines = STORY.lines().count();
    for length in (0..STORY.len()).filter(|&length| STORY.is_char_boundary(length)) {
        if let Err(errors) = try_read(&STORY[..length]) {
            for error in &errors.0 {
                let (line, column) = (error.place.line, error.place.column);
                assert!((1..=lines).contains(&line), "cut off at {length}: {error}");
                let longest = STORY.lines().nth(line - 1).unwrap().chars().count() + 1;
                assert!(
                    (1..=longest).contains(&column),
                    "cut off at {length}: {error}"
                );
            }
        }
    }
}

/// A file with any one character put in anywhere, or any one left out.
// Promise: W1
#[test]
fn the_story_with_a_slip_anywhere_never_panics() {
    for (offset, character) in STORY.char_indices() {
        let (before, rest) = STORY.split_at(offset);
        let after = &rest[character.len_utf8()..];
        let _ = try_read(&format!("{before}{after}"));
        if offset % 17 == 0 {
            for put in [
                "\"", "{", "}", "“", "$", "<<", "[", ".", "\0", "\\", "null", "*", "=", "\u{a0}",
            ] {
                let _ = try_read(&format!("{before}{put}{rest}"));
            }
        }
    }
}

proptest::proptest! {
    /// Texts of the language's own words in any order.
    // Promise: W1
    #[test]
    fn no_text_panics(words in proptest::collection::vec(proptest::sample::select(WORDS), 0..60)) {
        let _ = try_read(&words.concat());
        let name = "main.tf";
        let text = words.concat();
        let _ = read(&[SourceFile { name, text: STORY }], &[
            Input::Flag { name: "image", value: &text },
            Input::Tfvars(SourceFile { name: "a.tfvars", text: &text }),
        ]);
    }
}

const WORDS: &[&str] = &[
    "resource",
    " \"stackpath_compute_workload\" \"web\" {\n",
    "}",
    "{",
    "\n",
    "[",
    "]",
    "\"",
    "“",
    "”",
    "‘",
    "$",
    "${",
    "%{",
    "<<EOF\n",
    "<<-EOF\n",
    "EOF\n",
    "var",
    ".",
    "a",
    " = ",
    "1",
    "-",
    "1e999",
    "null",
    "true",
    ",",
    "(",
    ")",
    "variable \"a\" {\n",
    "output \"a\" {\n",
    "value = ",
    "default = ",
    "type = ",
    "list(",
    "name",
    "slug",
    "container",
    "target",
    "port",
    "annotations",
    "stackpath_compute_workload.web.",
    "#",
    "/*",
    "*/",
    "\\",
    "é",
    "\0",
    "\r\n",
    "?",
    ":",
    "for ",
    " in ",
    "*",
    "!",
    "...",
    "image = \"x\"\n",
];
