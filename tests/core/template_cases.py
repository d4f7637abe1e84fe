"""Templates that need no data, and what the docker client (28.2.2, Go's own text/template) makes of them.

`test_template_go` asks the client again, where there is one. A text that begins with a line's number is a mistake.
"""

CASES: dict[str, str] = {
    # text, comments, trimming
    "plain {} text }}": "plain {} text }}",
    "{{/* x */ -}}  y {{- /* z */ -}} k": "yk",
    "a  {{- 3 -}}  b{{- 3}} {{-3}} {{3 -}} x": "a3b3 -3 3x",
    '{{"{{"}}{{`}}`}}': "{{}}",
    # literals
    "{{1e3}} {{0x10}} {{1_000}} {{'a'}} {{010}} {{0b11}} {{+5}} {{.5}} {{1.}}": "1000 16 1000 97 8 3 5 0.5 1",
    "{{1e25}} {{1.5e-7}} {{1234567.0}} {{999999.5}} {{-0.0}} {{-12.50}} {{123456.789}}": (
        "1e+25 1.5e-07 1.234567e+06 999999.5 -0 -12.5 123456.789"
    ),
    r'{{"\x41\u00e9\101\"\\"}}{{`a\n"`}}': 'Aé\x41"\\a\\n"',
    "{{true}} {{false}} {{print nil}} {{'\\''}}": "true false <nil> 39",
    # print and printf
    '{{println 1 2 "a" 3}}{{print 1 2 "a" 3}}{{print "a" "b" 1 2}}': "1 2 a 3\n1 2a3ab1 2",
    '{{printf "%05s|%-4d|%q" "ab" 3 "x\\ny"}}': '000ab|3   |"x\\ny"',
    '{{printf "%d" "a"}} {{printf "%s" 1}} {{printf "%d"}}': "%!d(string=a) %!s(int=1) %!d(MISSING)",
    '{{printf "x" 1 "a" nil}} {{printf "%"}} {{printf "%%"}}': ("x%!(EXTRA int=1, string=a, <nil>) %!(NOVERB) %"),
    '{{printf "%q %q %q" "\\xff\\x00é\\u200b\\U0001F600" 65 39}}': ("\"\\xff\\x00é\\u200b😀\" 'A' '\\''"),
    '{{printf "%.3s|%8.2s|%-8.2s|" "abcdef" "abcdef" "abcdef"}}': "abc|      ab|ab      |",
    '{{printf "%05d|%-5d|%5d|%05d" 42 42 42 -42}}': "00042|42   |   42|-0042",
    '{{printf "%s %v" true false}} {{printf "%s" nil}} {{printf "%v" nil}} {{printf "%d" 1.5}}': (
        "%!s(bool=true) false %!s(<nil>) <nil> %!d(float64=1.5)"
    ),
    '{{printf "%5v|%-5v|%05v" true "a" 3}}': " true|a    |00003",
    # functions
    '{{len "ü"}} {{len (printf "%s" "é")}} {{index "abc" 1}}': "2 2 98",
    '{{lt "a" "b"}} {{le 1 1}} {{gt 2 1}} {{ge 1 2}} {{ne 1 2}} {{eq 1 2 3 1}} {{eq 1.5 1.5}}': (
        "true true true false true true true"
    ),
    '{{and 1 0 2}} {{and 1 2}} {{or 0 "" "z"}} {{or 0 ""}} {{not 1}} {{or nil nil}}': "0 2 z  false <no value>",
    '{{and 0 (index "a" 9)}}': "0",
    "{{eq nil nil}} {{eq 1 nil}}": "true false",
    # pipes and variables
    '{{"a" | print "b"}} {{print ((1) | print 2)}} {{"x" | printf "%s-%s" "a" | len}}': "ba 2 1 3",
    "{{$x := 1}}{{$x}}{{$x = 2}}{{$x}}": "12",
    "{{$x := 1}}{{if 1}}{{$x = 2}}{{$y := 3}}{{end}}{{$x}}": "2",
    # branches
    '{{if ""}}a{{else if 0.0}}b{{else if not nil}}c{{else}}d{{end}}{{if not false}}e{{end}}': "ce",
    "{{with $x := 0}}a{{else with 5}}b{{.}}{{end}}{{with 7}}{{.}}{{end}}": "b57",
    "{{range 3}}x{{.}}{{end}}{{range 0}}x{{else}}none{{end}}": "x0x1x2none",
    "{{range $k := 2}}{{range $j := 2}}{{$k}}{{$j}} {{end}}{{end}}": "00 01 10 11 ",
    "{{$a := 1}}{{range 3}}{{$a = .}}{{end}}{{$a}}": "2",
    # mistakes of reading
    "{{": "1: unclosed action",
    "{{}}": "1: missing value for command",
    "{{if}}x{{end}}": "1: missing value for if",
    "{{end}}": "1: unexpected {{end}}",
    "{{else}}": "1: unexpected {{else}}",
    "{{if 1}}x": "1: unexpected EOF",
    "\n{{if 1}}x{{else}}y{{else}}z{{end}}": "2: expected end; found {{else}}",
    "{{$x}}": '1: undefined variable "$x"',
    "{{if 1}}{{$y := 3}}{{end}}{{$y}}": '1: undefined variable "$y"',
    '{{env "A"}}': '1: function "env" not defined',
    '{{env "A}}': '1: function "env" not defined',
    '{{print "a}}': "1: unterminated quoted string",
    "{{/* x }}": "1: unclosed comment",
    "{{/* x */ }}": "1: comment ends before closing delimiter",
    "{{print (1}}": "1: unclosed left paren",
    "{{print 1)}}": "1: unexpected right paren",
    "{{(1)(2)}}": '1: unexpected "(" in operand',
    "{{ | print 1}}": '1: unexpected "|" in command',
    "{{1 | 2}}": "1: non executable command in pipeline stage 2",
    '{{"a".b}}': '1: unexpected . after term "\\"a\\""',
    '{{"\\q"}}': "1: invalid syntax",
    "{{1x}}": '1: bad number syntax: "1x"',
    "{{$x, $y := 1}}": "1: too many declarations in command",
    "{{range $x, 3}}{{end}}": "1: range can only initialize variables",
    "{{: 1}}": "1: expected :=",
    "{{print end}}": "1: unexpected <end> in operand",
    # mistakes of evaluating
    "a\n{{ 1 2 }}": '2:3: executing "" at <1>: can\'t give argument to non-function 1',
    "{{nil}}": '1:2: executing "" at <nil>: nil is not a command',
    '{{index "abc" 5}}': '1:2: executing "" at <index "abc" 5>: error calling index: index out of range: 5',
    "{{len 1}}": '1:2: executing "" at <len 1>: error calling len: len of type int',
    "{{len 1 2}}": '1:2: executing "" at <len>: wrong number of args for len: want 1 got 2',
    "{{printf}}": '1:2: executing "" at <printf>: wrong number of args for printf: want at least 1 got 0',
    "{{printf 1}}": '1:9: executing "" at <1>: expected string; found 1',
    '{{eq 1 "a"}}': '1:2: executing "" at <eq 1 "a">: error calling eq: incompatible types for comparison',
    "{{lt true false}}": '1:2: executing "" at <lt true false>: error calling lt: invalid type for comparison',
    '{{"é"}}{{range "a"}}x{{end}}': '1:16: executing "" at <"a">: range can\'t iterate over a',
    '{{ (print "a" 1).Foo }}': '1:14: executing "" at <1>: can\'t evaluate field Foo in type string',
}
