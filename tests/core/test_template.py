"""Templates on data: fields, maps, what is not supported, and what bounds them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from skep.core.template.context import Subject, context
from skep.core.template.evaluator import evaluate
from skep.core.template.functions import NAMES
from skep.core.template.mistake import TemplateError
from skep.core.template.parser import parse
from skep.core.template.values import Record, Value

SUBJECT = Subject(
    service_id="sid",
    service_name="web",
    service_labels={"tier": "gold", "a.b/c": "2"},
    node_id="nid",
    node_hostname="box",
    architecture="x86_64",
    os="linux",
    task_id="tid",
    task_name="web.3.tid",
    slot="3",
)
SIZE_MAX = 2000


def filled(text: str, data: Record | None = None) -> str:
    return evaluate(parse(text, NAMES), data or context(SUBJECT), size_max=SIZE_MAX)


def mistake(text: str) -> str:
    with pytest.raises(TemplateError) as raised:
        filled(text)
    return str(raised.value).removeprefix("template: expansion:")


def place_of_mistake(text: str) -> str:
    try:
        filled(text)
    except TemplateError as error:
        return error.place
    return "nowhere"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{.Service.ID}}/{{.Service.Name}}/{{.Node.ID}}/{{.Node.Hostname}}", "sid/web/nid/box"),
        ("{{.Node.Platform.OS}}/{{.Node.Platform.Architecture}} {{.Node.Platform}}", "linux/x86_64 {x86_64 linux}"),
        ("{{.Task.ID}} {{.Task.Name}} {{.Task.Slot}} {{.Task}}", "tid web.3.tid 3 {tid web.3.tid 3}"),
        ('{{.Service.Labels}} {{index .Service.Labels "a.b/c"}}', "map[a.b/c:2 tier:gold] 2"),
        ('{{.Service.Labels.tier}}{{index .Service.Labels "none"}}{{len .Service.Labels}}', "gold2"),
        ('{{printf "%q" .Service.Labels}}{{printf "%03s" .Task.Slot}}', 'map["a.b/c":"2" "tier":"gold"]003'),
        ('{{join "-" .Service.Name .Task.Slot "x"}}{{join ","}}', "web-3-x"),
        ('{{if eq .Task.Slot "3"}}third{{else}}other{{end}}', "third"),
        ("{{range $k, $v := .Service.Labels}}{{$k}}={{$v}};{{end}}", "a.b/c=2;tier=gold;"),
        ("{{range .Service.Labels}}{{.}}{{$.Task.Slot}} {{end}}", "23 gold3 "),
        ("{{with .Task}}{{.Slot}}{{$.Node.ID}}{{end}}", "3nid"),
        ("{{(index .Service.Labels `tier`) | len}} {{$t := .Task}}{{$t.Slot}}", "4 3"),
        ('{{and .Service.Labels (index .Service.Labels "tier")}}', "gold"),
    ],
)
def test_a_template_is_filled_in_from_the_task(text: str, expected: str) -> None:
    assert filled(text) == expected


def test_a_list_is_ranged_over_in_its_order() -> None:
    items: tuple[Value, ...] = ("b", "a")
    data = Record("struct { L []string }", {"L": items, "E": ()})
    text = "{{range $i, $e := .L}}{{$i}}{{$e}}{{end}}{{range .E}}x{{else}}none{{end}}{{index .L 1}}{{len .L}}{{.L}}"
    assert filled(text, data) == "0b1anonea2[b a]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{.Nope}}", '1:2: executing "expansion" at <.Nope>: can\'t evaluate field Nope in type *template.Context'),
        (
            "é\n é{{.Task.Slot.X}}",
            '2:10: executing "expansion" at <.Task.Slot.X>: can\'t evaluate field X in type string',
        ),
        (
            "{{.Service.Labels.none}}",
            '1:10: executing "expansion" at <.Service.Labels.none>: map has no entry for key "none"',
        ),
        (
            "{{index .Service.Labels 1}}",
            (
                '1:2: executing "expansion" at <index .Service.Labels 1>: '
                "error calling index: value has type int; should be string"
            ),
        ),
        (
            "{{join 1 2}}",
            '1:7: executing "expansion" at <1>: expected string; found 1',
        ),
        (
            "{{join .Task .Task.ID}}",
            (
                '1:7: executing "expansion" at <.Task>: '
                "wrong type for value; expected string; got struct { ID string; Name string; Slot string }"
            ),
        ),
        (
            '{{.Task.Slot "x"}}',
            '1:7: executing "expansion" at <.Task.Slot>: Slot has arguments but cannot be invoked as function',
        ),
    ],
)
def test_a_mistake_is_told_in_go_s_words(text: str, message: str) -> None:
    assert mistake(text) == message


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{{define `x`}}{{end}}", "the action define is not supported"),
        ("{{range 3}}{{break}}{{end}}", "the action break is not supported"),
        ("{{template `x`}}", "the action template is not supported"),
        ("{{html .}}", "the function html is not supported"),
        ("{{.Task.ID | slice 1}}", "the function slice is not supported"),
        ("{{1i}}", "complex numbers are not supported"),
        ('{{printf "%x" 1}}', "the verb %x of printf is not supported"),
        ('{{printf "%+d" 1}}', 'the flag "+" of printf is not supported'),
        ('{{printf "%*d" 1 1}}', '"*" in a format of printf is not supported'),
    ],
)
def test_what_is_not_supported_is_refused_by_name(text: str, what: str) -> None:
    assert mistake(text).endswith(what)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("x" * (SIZE_MAX + 1) + "{{1}}", f"it becomes more than {SIZE_MAX} bytes"),
        ("é" * (SIZE_MAX // 2 + 1) + "{{1}}", f"it becomes more than {SIZE_MAX} bytes"),
        ("{{$x := `aa`}}" + "{{$x = print $x $x}}" * 40, f"it becomes more than {SIZE_MAX} bytes"),
        ("{{range 1000000}}{{range 1000000}}{{end}}{{end}}", "more than 100000 steps is not supported"),
        ('{{printf "%1001d" 1}}', "a width of more than 1000 is not supported"),
        ('{{printf "%99999999999999999999d" 1}}', "a width of more than 1000 is not supported"),
        ("{{print " + "(" * 65 + "1" + ")" * 65 + "}}", "within each other are not supported"),
        ("{{if 1}}" * 65 + "{{end}}" * 65, "within each other are not supported"),
        ("{{if 0}}" + "{{else if 0}}" * 65 + "{{end}}", "within each other are not supported"),
        ("{{1}}" * 20_000, "a template of more than 50000 words is not supported"),
    ],
)
def test_no_template_grows_or_goes_on_without_bound(text: str, what: str) -> None:
    began = time.monotonic()
    assert mistake(text).endswith(what)
    assert (
        time.monotonic() - began < 20
    )  # on a machine that is busy; without its bound each takes minutes or all memory


def test_nesting_up_to_the_bound_is_filled_in() -> None:
    assert filled("{{print " + "(" * 64 + "1" + ")" * 64 + "}}") == "1"
    assert filled("{{if 1}}" * 64 + "x" + "{{end}}" * 64) == "x"


def test_bytes_that_are_no_text_pass_through() -> None:
    text = b"\xff{{.Task.Slot}}\xfe{{len `\xff`}}".decode("utf-8", "surrogateescape")
    assert filled(text).encode("utf-8", "surrogateescape") == b"\xff3\xfe1"


WORDS = [
    *("{{", "}}", "{{-", "-}}", " ", "\n", "(", ")", "|", ".", "$", "$x", ":=", "=", ",", "1", "-", "'a'", '"a"', "`"),
    *(".Task", ".Slot", ".Service.Labels", ".Nope", "if", "else", "end", "range", "with", "nil", "true", "2", "%s"),
    *("print", "printf", "index", "len", "eq", "lt", "and", "or", "not", "join", "/*", "*/", "é", "\\"),
]


@given(st.lists(st.sampled_from(WORDS), max_size=30).map("".join))
def test_any_text_is_filled_in_or_refused(text: str) -> None:
    assert place_of_mistake(text).startswith(("nowhere", "line "))


OPERANDS = st.sampled_from([".", ".Task", ".Task.Slot", ".Service.Labels", "1", "2.5", '"a"', "nil", "true", "$"])


@given(st.sampled_from(sorted(NAMES)), st.lists(OPERANDS, max_size=4), st.booleans())
def test_any_function_takes_or_refuses_any_values(function: str, operands: list[str], piped: bool) -> None:
    called = f"{function} {' '.join(operands)}"
    text = f"{{{{{operands[0]} | {called}}}}}" if piped and operands else f"{{{{{called}}}}}"
    assert place_of_mistake(text).startswith(("nowhere", "line 1"))
