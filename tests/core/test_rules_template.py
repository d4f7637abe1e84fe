"""Templates in hostname, environment and mounts: Go's own words for what is wrong with them (scenarios 11, 23)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from skep.core.rejected import Rejected
from skep.core.rules.template import check_template


def mistake(text: str) -> str | None:
    try:
        check_template(text, "expanding hostname failed")
    except Rejected as rejected:
        return str(rejected).removeprefix("expanding hostname failed: template: expansion:")
    return None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain {} text }}",
        "{{.Node.ID}}-{{.Node.Hostname}}-{{.Node.Platform.OS}}-{{ .Node.Platform.Architecture }}",
        "{{.Service.ID}}{{.Service.Name}}{{.Service.Labels}}{{.Service.Labels.any}}",
        '{{index .Service.Labels "com.example.{x}"}}',
        "{{.Task.ID}}{{.Task.Name}}{{.Task.Slot}}",
        "{{- .Task.Slot -}}{{/* words that are no functions */}}",
        '{{join "-" .Task.Slot}}{{printf "%s %d" .Task.ID 12}}',
        '{{if eq .Task.Slot "1"}}{{.Nowhere}}{{else}}second{{end}}',
        "{{with .Service}}{{.Bogus}}{{end}}",
        "{{$x := .Task.ID}}{{$x}}",
        "{{`{{`}}",
    ],
)
def test_a_template_that_names_what_exists_is_taken(text: str) -> None:
    assert mistake(text) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{", "1: unclosed action"),
        ("a\n{{.Task.ID}", "2: unclosed action"),
        ("{{}}", "1: missing value for command"),
        ("{{.Bogus}}", '1:2: executing "expansion" at <.Bogus>: can\'t evaluate field Bogus in type *template.Context'),
        (
            "x-{{ .Bogus.ID }}",
            '1:11: executing "expansion" at <.Bogus.ID>: can\'t evaluate field Bogus in type *template.Context',
        ),
        (
            "{{.Task.Bogus}}",
            (
                '1:7: executing "expansion" at <.Task.Bogus>: '
                "can't evaluate field Bogus in type struct { ID string; Name string; Slot string }"
            ),
        ),
        ('{{env "A"}}', '1: function "env" not defined'),
        ('{{.Bogus}}{{env "A"}}', '1: function "env" not defined'),
        ('{{print "A}}', "1: unterminated quoted string"),
        ("{{print 'A}}", "1: unterminated character constant"),
        ("{{print `A}}", "1: unterminated raw quoted string"),
    ],
)
def test_a_template_that_cannot_be_is_refused_in_go_s_words(text: str, message: str) -> None:
    assert mistake(text) == message


@given(st.text(alphabet="{}.-\"'`/*$ aTaskID\n0(", max_size=60))
def test_any_text_is_taken_or_refused(text: str) -> None:
    assert mistake(text) is None or "{{" in text


def test_a_long_text_takes_no_longer_than_it_is_long() -> None:
    assert mistake("{{" + " " * 200_000) == "1: unclosed action"
    assert mistake('{{print "' + '\\"' * 100_000 + "}}") == "1: unterminated quoted string"


@pytest.mark.parametrize("digits", ["9" * 20, "9" * 5_000, "-" + "1" * 200_000, "0x" + "f" * 5_000])
def test_a_number_of_any_length_is_too_large_and_nothing_worse(digits: str) -> None:
    """Python makes no number of very many digits: that must not end who asks."""
    assert mistake("{{print " + digits + "}}") == f'1: integer overflow: "{digits}"'
