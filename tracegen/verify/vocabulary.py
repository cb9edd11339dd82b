"""Names that mathematics is written with, as tables of words."""

from __future__ import annotations


def listed(text: str) -> frozenset[str]:
    """The words of a table that is written with white space between them."""
    return frozenset(text.split())


FUNCTIONS = listed("""
    sin cos tan cot sec csc arcsin arccos arctan arccot asin acos atan sinh cosh tanh
    coth sech csch arcsinh arccosh arctanh asinh acosh atanh
    ln log exp max min gcd lcm det deg re im arg cis
""")
OTHER_NAMES = {
    "tg": "tan", "ctg": "cot", "cosec": "csc", "arctg": "arctan", "arcctg": "arccot",
    "arsinh": "asinh", "arcosh": "acosh", "artanh": "atanh",
    "Max": "max", "Min": "min", "GCD": "gcd", "LCM": "lcm",
}  # fmt: skip
"""Names of functions in other traditions."""
INVERTIBLE = listed("sin cos tan cot")
"""Functions whose power of -1 is the inverse function."""

GREEK = listed("""
    alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron rho sigma tau upsilon
    phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell hbar aleph
    nabla partial Re Im imath jmath
""")

SHORT_WORDS = listed("""
    is of to in on at no an by as it we he if so do go up us my am pm me be ok vs pct sq cu cab bad dad bar
    can pan van tin bin pin pup cub nut tub tax six bus cup ray arc
    car cat bat mat pat rat sat ant art act dry sky try any map tip was saw kit sit put cut but run sun mr ms
""")
"""Words of two and three letters that are no products of symbols."""

NOT_PROSE = listed("""
    and sin cos tan cot sec csc log exp arcsin arccos arctan sinh cosh tanh coth sech csch
    arcsinh arccosh arctanh asinh acosh atanh arsinh arcosh artanh max min gcd lcm mod det lim sup
    inf sqrt frac pmatrix bmatrix array cases matrix align aligned infty rank dim ker tr for all with cup cap
""")
"""Words that occur in formulas."""

DENIALS = listed("""
    not no never neither nor nt isnt cant cannot dont doesnt wasnt arent wont false wrong incorrect
    fail fails failed stop stops stopped hardly rarely lose loses lack lacks opposite cease ceases
""")
"""Words that turn what a sentence says into its contrary."""

TURNS = DENIALS | listed("""
    none without except unless than and or but versus while before after from instead either both between
    if when
""")
"""Words that make it unsafe to take a part of a sentence for the whole."""

SMALL_WORDS = listed("is are was be it in on of to at by for with as that this there so then one only")
"""Words that say nothing alone."""

OPPOSITES = tuple(
    tuple(listed(words) for words in group)
    for group in (
        (
            "increase increased increases increasing more gain profit up rise premium",
            "decrease decreased decreases decreasing less loss down fall fewer drop discount",
        ),
        ("real", "complex imaginary nonreal"),
        ("distinct", "repeated"),
        ("bigger larger", "smaller"),
        ("including", "excluding"),
        ("full", "empty"),
        ("favor favour", "against"),
        ("top", "bottom"),
        ("front", "behind"),
        ("debt owed owes", "credit"),
        ("tensile tension", "compressive compression"),
        ("annually yearly", "monthly", "weekly", "daily", "quarterly", "hourly"),
        ("faces face", "edges edge", "vertices vertex"),
        ("rows row", "columns column"),
        ("protons proton", "neutrons neutron", "electrons electron"),
        ("atoms atom", "molecules molecule"),
        ("sons son", "daughters daughter"),
        ("students student pupils", "teachers teacher"),
        ("ray", "segment"),
        ("left", "right", "upwards upward", "downwards downward"),
        ("ago", "now"),
        ("longer", "shorter"),
        ("wider", "narrower"),
        ("higher", "lower"),
        ("cheaper", "dearer costlier"),
        ("upstream", "downstream"),
        ("wins won", "losses lost"),
        ("heads head", "tails tail"),
        ("surplus", "deficit"),
        ("inside", "outside"),
        ("radius", "diameter"),
        ("tangent", "normal"),
        ("major", "minor"),
        ("rational", "irrational"),
        ("prime", "composite"),
        ("north", "south", "east", "west", "northeast", "northwest", "southeast", "southwest"),
        ("above over", "below under"),
        ("before earlier early", "after later late"),
        ("forward forwards", "backward backwards"),
        ("clockwise", "counterclockwise anticlockwise"),
        ("faster ahead", "slower behind"),
        ("ad", "bc"),
        ("maximum max largest greatest", "minimum min smallest least", "inflection", "saddle"),
        ("local", "global"),
        ("stable", "unstable"),
        ("positive", "negative"),
        ("even", "odd"),
        ("taller", "shorter"),
        ("heavier", "lighter"),
        ("older", "younger"),
        ("warmer hotter", "colder cooler"),
        ("boys boy men man", "girls girl women woman"),
        ("adults adult", "children child kids kid"),
    )
)
"""Groups of words that exclude each other: they make two answers different where each side has one."""
OPPOSED = frozenset(word for group in OPPOSITES for words in group for word in words)
ADJECTIVES = listed("""
    right isosceles equilateral equiangular scalene acute obtuse oblique convex concave regular irregular
    cyclic positive negative nonnegative nonpositive nonzero even odd prime composite real complex imaginary
    rational irrational whole natural square distinct equal consecutive increasing decreasing monotonic
    continuous differentiable bounded unbounded connected infinite countable linear homogeneous vertical
    horizontal parallel symmetric orthogonal invertible singular diagonal convergent divergent
""")
"""Words whose order before a noun says nothing."""
QUANTIFIERS = listed("some exists exist only infinitely finitely many most few almost")
"""Words for less than all."""
