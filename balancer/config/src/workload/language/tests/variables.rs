//! Variables: which value wins, and what can be wrong with one.

use super::*;

/// What the container's environment variable `V` comes to, with a variable `v` of this declaration.
fn value_of(declaration: &str, inputs: &[Input<'_>]) -> Result<String, WorkloadErrors> {
    let use_it = container("env {\n key = \"V\"\n value = var.v\n}");
    let text = format!("variable \"v\" {{\n{declaration}\n}}\n{use_it}");
    let name = "main.tf";
    let mut read = read(&[SourceFile { name, text: &text }], inputs)?;
    let env = read.workloads.remove(0).workload.containers.remove(0).env;
    Ok(env["V"].clone())
}

fn file<'a>(name: &'a str, text: &'a str) -> Input<'a> {
    Input::Tfvars(SourceFile { name, text })
}

const ENVIRONMENT: Input<'_> = Input::Environment {
    name: "v",
    value: "environment",
};
const FLAG: Input<'_> = Input::Flag {
    name: "v",
    value: "flag",
};

// Promise: W3
#[test]
fn the_strongest_value_wins() {
    let default = "default = \"default\"";
    let tfvars = file("terraform.tfvars", "v = \"tfvars\"");
    let auto = file("a.auto.tfvars", "v = \"auto\"");
    for (inputs, value) in [
        (vec![], "default"),
        (vec![ENVIRONMENT], "environment"),
        (vec![ENVIRONMENT, tfvars], "tfvars"),
        (vec![ENVIRONMENT, tfvars, auto], "auto"),
        (vec![ENVIRONMENT, tfvars, auto, FLAG], "flag"),
        (vec![FLAG, file("-var-file", "v = \"later\"")], "later"),
    ] {
        assert_eq!(value_of(default, &inputs).unwrap(), value);
    }
}

#[test]
fn files_that_are_read_unasked_come_in_terraforms_order() {
    let names = [
        "z.auto.tfvars",
        "main.tf",
        "b.tfvars",
        "terraform.tfvars",
        "a.auto.tfvars",
    ];
    assert_eq!(
        automatic_files(names),
        ["terraform.tfvars", "a.auto.tfvars", "z.auto.tfvars"]
    );
}

#[test]
fn a_text_is_read_as_the_variables_type_asks() {
    let flag = |value| [Input::Flag { name: "v", value }];
    for (declaration, text, value) in [
        ("", "[1]", "[1]"),
        ("type = string", "\"a\"", "\"a\""),
        ("type = number", "0x", ""),
        ("type = number", "1.50", "1.5"),
        ("type = bool", "true", "true"),
        ("type = any", "\"a\"", "a"),
        ("type = \"string\"", "a b", "a b"),
    ] {
        match value_of(declaration, &flag(text)) {
            Ok(found) => assert_eq!(found, value, "{declaration} {text}"),
            Err(error) => assert_eq!((value, error.0.len()), ("", 1), "{error}"),
        }
    }
    let declare = "variable \"v\" {\n type = list(string)\n}\n";
    let use_it = format!("{declare}{}", container("command = var.v"));
    let sources = [SourceFile {
        name: "main.tf",
        text: &use_it,
    }];
    let mut read = read(&sources, &flag("[\"a\", 1]")).unwrap();
    assert_eq!(
        read.workloads.remove(0).workload.containers[0].command,
        ["a", "1"]
    );
}

// Promise: W3
#[test]
fn a_missing_value_is_named_with_its_use_and_its_declaration() {
    let use_it = container("env {\n key = \"V\"\n value = §var.v\n}");
    assert_error(
        &format!("\nvariable \"v\" {{}}\n{use_it}"),
        "variable \"v\", which is declared at main.tf:2:1, has no value; expected -var v=..., TF_VAR_v, a .tfvars file or a default",
    );
    let use_it = container("env {\n key = \"V\"\n value = \"a-${§var.v}\"\n}");
    assert_error(
        &format!("variable \"v\" {{}}\n{use_it}"),
        "variable \"v\", which is declared at main.tf:1:1, has no value; expected -var v=..., TF_VAR_v, a .tfvars file or a default",
    );
}

#[test]
fn a_variable_that_there_is_not() {
    let use_it = container("env {\n key = \"V\"\n value = §var.imag\n}");
    assert_error(
        &format!("variable \"image\" {{}}\n{use_it}"),
        "there is no variable \"imag\"; expected `var.image`, or `variable \"imag\" {}` somewhere",
    );
    assert_error(
        "provider \"stackpath\" {\n client_id = §var.id\n}",
        "there is no variable \"id\"; expected `variable \"id\" {}` somewhere",
    );
    let errors = value_of(
        "default = 1",
        &[Input::Flag {
            name: "w",
            value: "",
        }],
    )
    .unwrap_err();
    assert_eq!(
        errors.to_string(),
        "-var w:1:1: there is no variable \"w\"; expected \"v\""
    );
    // A .tfvars file may serve several workload files, and the environment is everybody's.
    let text = "variable \"v\" {\n default = 1\n}\n";
    let inputs = [
        file("a.tfvars", "v = 1\nw = 2"),
        Input::Environment {
            name: "w",
            value: "",
        },
    ];
    let warnings = read(
        &[SourceFile {
            name: "main.tf",
            text,
        }],
        &inputs,
    )
    .unwrap()
    .warnings;
    let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["a.tfvars:2:1: there is no variable \"w\", so its value is not used"]
    );
}

#[test]
fn a_declaration_that_cannot_be() {
    for (lines, expected) in [
        (
            "type = §strin",
            "`type`: it is no type that is known here; expected string, number, bool, any, list(TYPE), set(TYPE), map(TYPE) or object({ NAME = TYPE })",
        ),
        (
            "type = number\n default = §\"many\"",
            "it is a string; expected a number",
        ),
        (
            "type = list(number)\n default = [1, §\"b\"]",
            "it is a string; expected a number",
        ),
        (
            "type = object({ a = string })\n default = §{ b = 1 }",
            "it is a map; expected an object with \"a\"",
        ),
        (
            "default = §var.other",
            "a variable's declaration refers to `var`; expected a constant",
        ),
        (
            "sensitive = §\"very\"",
            "`sensitive`: it is a string; expected true or false",
        ),
        (
            "§defalt = 1",
            "`defalt`: there is no such attribute or block; expected `default`",
        ),
        (
            "§validation {\n condition = true\n}",
            "`validation`: conditions are not evaluated, and a bad value would pass; expected a variable without `validation`",
        ),
    ] {
        assert_error(&format!("variable \"v\" {{\n {lines}\n}}"), expected);
    }
    assert_error(
        "§variable {}",
        "`variable`: it has no name, or more than one; expected `variable \"NAME\" { ... }`",
    );
}

#[test]
fn a_value_from_outside_has_its_place_too() {
    let number = "type = number";
    for (input, expected) in [
        (
            Input::Flag {
                name: "v",
                value: "many",
            },
            "-var v:1:1: it is a string; expected a number",
        ),
        (
            Input::Environment {
                name: "v",
                value: "",
            },
            "TF_VAR_v:1:1: it is a string; expected a number",
        ),
        (
            file("a.tfvars", "\nv = [1]"),
            "a.tfvars:2:5: it is a list; expected a number",
        ),
        (
            file("a.tfvars", "v = file(\"x\")"),
            "a.tfvars:1:5: `file(...)` is a function call, and those are not evaluated here; expected a literal, a reference or a string template",
        ),
        (
            file("a.tfvars", "v {\n}"),
            "a.tfvars:1:1: `v`: this is a block; expected `NAME = VALUE`",
        ),
    ] {
        let errors = value_of(&format!("{number}\n default = 1"), &[input]).unwrap_err();
        assert_eq!(errors.to_string(), expected);
    }
    let list = "type = list(string)\n default = []";
    let errors = value_of(
        list,
        &[Input::Flag {
            name: "v",
            value: "[a",
        }],
    )
    .unwrap_err();
    assert!(errors.to_string().starts_with("-var v:1:"), "{errors}");
}

// Promise: W4
#[test]
fn a_sensitive_value_is_hidden_or_refused() {
    let declare = "variable \"v\" {\n sensitive = true\n default = \"s3cret\"\n}\n";
    let env = container("env {\n key = \"V\"\n value = \"x-${var.v}\"\n}");
    let app = first_container(&format!("{declare}{env}"));
    assert!(app.sensitive.contains("V") && app.env["V"] == "x-s3cret");
    let refused = "it comes from a sensitive variable, and would be shown; expected";
    assert_error(
        &format!("{declare}{}", container("command = [§var.v]")),
        &format!("`container[0].command[0]`: {refused} a value that may be seen by everyone"),
    );
    assert_error(
        &format!("{declare}output \"o\" {{\n value = [§var.v]\n}}").replace("[§var.v]", "§[var.v]"),
        &format!("`value`: {refused} `sensitive = true` in the output"),
    );
    let hidden = format!("{declare}output \"o\" {{\n value = var.v\n sensitive = true\n}}");
    assert!(try_read(&hidden).unwrap().outputs[0].sensitive);
}

#[test]
fn null_is_no_value_for_a_variable_that_may_not_be_null() {
    let null = [file("a.tfvars", "v = null")];
    assert_eq!(
        value_of("default = 1\n nullable = false", &null).unwrap(),
        "1"
    );
    assert!(value_of("default = 1", &null).is_err());
}
