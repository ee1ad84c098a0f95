"""What language models, web pages and SSML write around words, and what only looks like it."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_stack.utils.text import normalise
from voice_stack.utils.text.pipeline import clauses
from voice_stack.utils.text.script import read_script


def said(text: str, language: str = "en") -> str:
    return " | ".join(clause.text for clause in clauses(text, language))


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("<think>The user greets.</think>Hello!", "Hello!"),
        ("<thinking>\nOne.\n\nTwo.\n</thinking>\n\nHello!", "Hello!"),
        ("<think>a <think>b</think> c</think>Hi.", "Hi."),
        ("First I greet them.</think>\n\nHello!", "Hello!"),
        ("<reasoning>It never ends", ""),
        ('<details type="reasoning" done="true"><summary>Thought</summary>hm</details>\nSure.', "Sure."),
        ("<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hi!<|return|>", "Hi!"),
        ("The model writes <think> before it answers.", "The model writes <think> before it answers."),
        ("Wrap it in <think> and </think> tags.", "Wrap it in <think> and </think> tags."),
        (
            "These are:\n<think> for a thought.\n[think] for another.",
            "These are: | <think> for a thought. | [think] for another.",
        ),
        ("Write `<think>` and `</think>`.", "Write <think> and </think>."),
    ],
)
def test_thoughts_are_not_spoken(text: str, spoken: str) -> None:
    assert said(text) == spoken


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Code:\n```python\nfor i in x:\n    go(i)\n```\nDone.", "Code: | Done."),
        ("Do this:\n\n```bash\nls -l", "Do this:"),
        ("> ```js\n> f()\n> ```\nDone.", "Done."),
        ("```\nA *plain* poem (so it is) / here: $5.\n```", "A plain poem (so it is) / here: five dollars."),
        ("```\npip install x\n```\nDone.", "Done."),
        ("~~~py\nx\n~~~\nDone.", "Done."),
        ("One.\n~~~~~\nTwo() {};\n~~~~~\nThree.", "One. | Two() {}; | Three."),
        ("```text\nRead me (a[0]).\n```", "Read me (a[zero])."),
        ("A fence ``` in a line.", "A fence in a line."),
        ("Run `pip install x` and `arr[1]`.", "Run pip install x and arr[one]."),
        ('<tool_call>{"a": 1}</tool_call>Done.', "Done."),
        ("<pre><code>x = {}</code></pre>Done.", "Done."),
    ],
)
def test_blocks_of_code_are_left_out_and_code_in_a_line_is_read(text: str, spoken: str) -> None:
    assert said(text) == spoken


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("The sky is blue [1], water is wet [2][3].", "The sky is blue, water is wet."),
        ("Cats sleep a lot[1][2]. Dogs[4] do not.[3]", "Cats sleep a lot. | Dogs do not."),
        ("By the data[1], it rose [2]. Print data[1].", "By the data, it rose. | Print data."),
        ("Print data[1] or the results[2].", "Print data[one] or the results[two]."),
        ("It is so 【4:0†a.pdf】 and so \ue200cite\ue202turn0search1\ue201.", "It is so and so."),
        ("True[^1] and true [^a].\n\n[^1]: The note.", "True and true. | The note."),
        ("As shown [1, 2], [3]-[5] and [6–8].", "As shown."),
        ("It boils [[1]](https://a.b/c) at noon ([source](https://x.y)).", "It boils at noon (source)."),
        ("See [the docs][d] and [this][1].\n\n[d]: https://a.b 'Docs'\n[1]: https://c.d", "See the docs and this."),
        ("[cite_start]It works[cite: 1, 2].", "It works."),
        ("He seen it [sic] there.", "He seen it [sic] there."),
        ("Take arr[1], m[1][2] and list[2].append(x).", "Take arr[one], m[one][two] and list[two].append(x)."),
        ("Press [1] now. The list is [1, 2].", "Press [one] now. | The list is [one, two]."),
        ("x in [0, 1], as in [2] we saw.", "x in [zero, one], as in [two] we saw."),
        ("They won [3-1]. See table [4].", "They won [three one]. | See table [four]."),
        ("[1] Smith wrote it.", "[one] Smith wrote it."),
    ],
)
def test_citations_are_silent_and_other_brackets_stay(text: str, spoken: str) -> None:
    assert said(text) == spoken


def test_citations_are_silent_in_german() -> None:
    assert said("Siehe [2] dort. Kosten [3] und [4].", "de") == "Siehe dort. | Kosten."


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Hello<br>world &amp; friends <b>bold</b>", "Hello | world and friends bold"),
        ("<!-- hidden --> shown <!DOCTYPE html>", "shown"),
        ("<p>One &mdash; two</p><ul><li>A<li>B</ul>", "One — two | A | B"),
        ("<table><tr><th>A</th><th>B</th></tr><tr><td>Ann</td><td>7</td></tr></table>", "A, B | Ann, seven"),
        ('<img src="x.png" alt="A cat"> sat<script>alert(1)</script>.', "A cat sat."),
        ("H<sub>2</sub>O<sup>[1]</sup>, <response>yes</response>.", "H two O, yes."),
        ("&lt;b&gt; &#65; &nope;", "<b> A and nope;"),
        ("a < b and x <y> z", "a < b and x <y> z"),
        ("Dear <name>, come at <time> to <b>.", "Dear <name>, come at <time> to <b>."),
        ("List<int> and a<b>c and <3 you", "List<int> and a<b>c and less than three you"),
        ("<!-- never closed", "<!-- never closed"),
    ],
)
def test_html_is_taken_out_where_it_is_sure(text: str, spoken: str) -> None:
    assert said(text) == spoken


def test_ssml_is_honoured_or_dropped() -> None:
    text = (
        '<?xml version="1.0"?><speak><p><s>Hello there</s><s>World</s></p><break time="1.5s"/>'
        'Say <say-as interpret-as="characters">ab1</say-as>, <say-as interpret-as="digits">2024</say-as>, '
        '<say-as interpret-as="cardinal">2024</say-as>, <say-as interpret-as="ordinal">3</say-as>, '
        '<say-as interpret-as="date" format="dmy">10/12/2024</say-as>. <sub alias="World Wide Web">WWW</sub>, '
        '<prosody rate="slow"><emphasis>slow</emphasis></prosody> <phoneme alphabet="ipa" ph="x">nut</phoneme></speak>'
    )
    found = list(clauses(text, "en"))
    assert [clause.text for clause in found[:2]] == ["Hello there", "World"]
    assert found[1].pause_s == 1.5
    assert " ".join(clause.text for clause in found[2:]) == (
        "Say A B one, two zero two four, two thousand twenty-four, third, December tenth, twenty twenty-four. "
        "World Wide Web, slow nut"
    )


@pytest.mark.parametrize(
    ("language", "text", "spoken"),
    [
        ("en", "Solve $x^2 + y^2 = z^2$ for $x$.", "Solve x squared plus y squared equals z squared for x."),
        ("en", "$$E=mc^2$$", "E equals m c squared"),
        ("en", r"$$\frac{1}{2}$$ of $\sqrt{2}$", "one half of the square root of two"),
        ("en", r"\(2^{10} = 1024\)", "two to the tenth equals one thousand twenty-four"),
        ("en", r"\[ a_1 \leq \alpha \]", "A sub one is less than or equal to alpha"),
        ("en", r"$f(x) = \sin(x)$ and $P(A|B)$", "f of x equals sine of x and P of A given B"),
        ("en", r"Take \frac{1}{2} cup of \alpha.", "Take one half cup of alpha."),
        ("en", r"$100$ apples, $50\%$ off, $5\,\text{kg}$", "one hundred apples, fifty percent off, five kilograms"),
        ("en", r"So \begin{align} a &= b \\ c &= d \end{align}", "So A equals b, c equals d"),
        ("de", r"$x^2 \approx 3.14$", "x Quadrat ungefähr gleich drei Komma eins vier"),
        ("fr", r"$x^3 = \sqrt{a}$", "x au cube égale racine carrée de a"),
        ("es", r"$x^2 \neq \pi$", "x al cuadrado no es igual a pi"),
        ("it", r"$x^2 = y$", "x al quadrato uguale y"),
    ],
)
def test_formulas_are_read_in_words(language: str, text: str, spoken: str) -> None:
    assert said(text, language) == spoken


@pytest.mark.parametrize(
    "text",
    ["$5 and $10", "from $5/month to $10/month", "$HOME/$USER or $PATH", "we made $$ and $$", "$x and you have y$ ok"],
)
def test_other_dollars_are_no_formulas(text: str) -> None:
    (part,) = read_script(text).parts
    assert part.text == text


def test_captions_show_a_formula_as_plain_text() -> None:
    text = r"Then $x^2 = \frac{a+b}{2}$. And **that** [1] is it."
    assert [clause.source for clause in clauses(text, "en")] == ["Then x² = (a + b)/2.", "And that is it."]


@pytest.mark.parametrize(
    ("text", "left_out"),
    [
        ("Hi.", ()),
        ("<think>a</think>Hi.\n```py\nx\n```", ("code", "thoughts")),
        (r"See $\begin{pmatrix} 1 & 2 \end{pmatrix}$.", ("formulas",)),
    ],
)
def test_what_is_left_out_is_told(text: str, left_out: tuple[str, ...]) -> None:
    assert read_script(text).left_out == left_out


def test_plain_text_is_left_as_it_stands() -> None:
    text = "<b>*a*</b> `b` [1] $x^2$ &amp; <think>c</think> # d | e"
    assert [part.text for part in read_script(text, "plain").parts] == [text]


def test_what_is_asked_for_is_read() -> None:
    text = "Look 🎉:\n```py\ngo to\n```"
    assert " ".join(part.text for part in read_script(text, reads=["code"]).parts) == "Look:\n\ngo to"
    (part,) = read_script("Schön 🎉", reads=["emoji"]).parts
    assert [clause.text for clause in clauses(part.text, "de", is_plain=True)] == ["Schön konfettibombe"]
    assert [clause.source for clause in clauses(part.text, "de", is_plain=True)] == ["Schön 🎉"]


def test_markdown_is_read_row_by_row_and_link_by_link() -> None:
    text = (
        "Name | Age\n--- | ---\nAnn | 7\n\n| a |  | c |\n|---|---|---|\n\n[![alt](i.png)](http://x)\n\n> [!NOTE]\n> Hm."
    )
    assert said(text) == "Name, Age | Ann, seven | a, c | alt | Note. | Hm."


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("①②③ ②Second ❶", "1 2 3 2 Second 1"),
        ("Ⅳ and ⅷ, ⅩⅣ, Louis Ⅳ, World War Ⅰ", "4 and 8, 14, Louis IV, World War 1"),
        ("5㎏ ３㎡ 20℃ ㌔ №5 Ⓗⓘ", "5kg 3m² 20°C キロ №5 Hi"),
        ("１２：３０ ３．５ １，０００ １，２ ５０％", "12:30 3.5 1,000 1，2 50%"),
        ("x² ½ 10⁸ H₂O ª", "x² ½ 10⁸ H₂O ª"),
    ],
)
def test_signs_that_stand_for_others_become_those(raw: str, plain: str) -> None:
    assert normalise(raw) == plain


MARKS = [*str.split(
    "<think> </think> <b> </b> < > $ $x$ \\( \\) ` ``` [1] [ ]( &amp; <!-- --> { } \\frac ^ _ a word | <speak> ①"
), "\n", " ", "\U000f0000\U000f0041"]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(MARKS), max_size=40).map("".join), st.sampled_from(["en", "de", "it", ""]))
def test_any_markup_can_be_read(text: str, language: str) -> None:
    for part in read_script(text).parts:
        found = list(clauses(part.text, language, is_plain=True))
        assert found
        assert not any(character >= "\U000f0000" for clause in found for character in clause.text + clause.source)


@pytest.mark.parametrize("text", ["a plain word", "x < 3, so f(x) > 2", "cost $5"])
def test_clients_cannot_make_formulas_of_their_own(text: str) -> None:
    forged = "".join(chr(0xF0000 + ord(character)) for character in "\0\\frac")
    for markup in ("auto", "plain"):
        (part,) = read_script(forged + text + forged, markup).parts  # type: ignore[arg-type]
        assert part.text == text


UNITS = [
    "<",
    "$",
    "[",
    "<b>",
    "a<think>",
    '<a x="',
    "$x ",
    "\\(",
    "```x\n",
    "`a",
    "[1]",
    "[a]",
    "\\frac{1}{",
    "a|b\n",
    "【†",
]


@pytest.mark.parametrize("unit", UNITS)
def test_hostile_markup_of_100_kb_takes_no_time(unit: str) -> None:
    text = unit * (100_000 // len(unit))
    started = time.process_time()
    read_script(text)
    assert time.process_time() - started < 1.0
