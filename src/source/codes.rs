//! Every error code with its title and the explanation `dlc explain-error` prints.
//!
//! Adding a code is one entry in the table below: it defines the constant and the text together. Hundreds say
//! the stage: 01 syntax, 02 names, kinds and shapes, 03 data, 04 training and runtime, 05 limits, 06 runs in
//! folders. A number once given keeps its meaning.

use super::Code;

/// What there is to say about a code beyond one occurrence of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Explanation {
    pub code: Code,
    pub title: &'static str,
    /// Several lines of plain text, with a wrong and a right example where that helps.
    pub text: &'static str,
}

macro_rules! codes {
    ($($name:ident = $number:literal, $title:literal, $text:literal;)*) => {
        $(#[doc = $title] pub const $name: Code = Code($number);)*

        /// The whole table, in the order of the numbers.
        pub const ALL: &[Explanation] = &[$(Explanation { code: $name, title: $title, text: $text }),*];
    };
}

codes! {
    UNEXPECTED_CHARACTER = 101, "a character the language does not use",
"Outside strings and comments a file holds names, numbers and the signs of the language.
Letters of any alphabet may stand in names; the signs ≤ ≥ ≠ · ⊙ ᵀ ² ∇ have their usual
meaning. Other symbols have a plain spelling:

    a × b    is written   a * b
    a − b    is written   a - b     (the longer dash is another character)
    a && b   is written   a and b
";
    UNEXPECTED_TOKEN = 102, "something else was expected here",
"The text up to the marked place is understood, and what comes next cannot continue it.
The message says what could stand there and what was found instead.

Definitions are equations, one per line. A line goes on after an operator or a comma at its
end, inside ( ) and [ ], and when the next line starts with `|>`, `*`, `/`, `@` or `^`; a line
that starts with `+` or `-` begins a new expression, so leave those at the end of the line:

    y = a +
        b
";
    UNCLOSED_DELIMITER = 103, "a bracket without its partner",
"Every `(`, `[` and `{` needs its closing partner, in the right order. The marked bracket has
none; the second place is where the compiler noticed.
";
    UNTERMINATED_STRING = 104, "a text that does not end",
"A text starts and ends with `\"` on the same line. Inside it `\\\"` stands for the quote
itself, `\\\\` for a backslash, `\\n` for a line end and `\\t` for a tab.
";
    BAD_NUMBER = 105, "a number that cannot be represented",
"Integers go up to 9223372036854775807, other numbers up to about 1.8e308. Write large
quantities that need not be integers with an exponent: `1e20`.
";
    UNUSED_EXPRESSION = 106, "an expression whose value goes nowhere",
"A block is a list of equations, `name = expression`, and its value is the expression on the
last line. An expression on an earlier line has no effect. Give it a name, or, if it was meant
to go on from the line before, end that line with the operator:

    y = a          y = a +
      + b    ->        b
";
    CHAINED_COMPARISON = 107, "comparisons do not chain",
"`a < b < c` does not say what a mathematician would mean by it, so it is refused.
Write `a < b and b < c`.
";
    UNKNOWN_TYPE = 108, "not a type",
"A type is one of

    [N, 64]             a tensor of numbers with these axes; [] is a scalar
    index(K)[N]         positions on the axis K
    bool[N], int[N]     truth values, integers
    params              a set of parameters
    objective           the function an optimizer minimizes
    [N, D] -> [N, K]    a function
";
    UNKNOWN_CLAUSE = 109, "not a clause of `train`",
"A `train` block has one clause per line, each starting with its keyword:

    minimize EXPRESSION [over PARAMETERS]
    on       DATA.PART, batch 64 [in order]
    using    OPTIMIZER(options)
    keep     CONDITION [for PARAMETERS]
    measure  EXPRESSION, NAME = EXPRESSION
    epochs   100
    steps    1000
    evaluate every 50 steps
    watch    NAME = DATA.PART loss, patience 5
    stop     when DATA.PART loss has not improved for 10 epochs
    folds    5
    ensemble 5
    phase    NAME { clauses }
";
    UNKNOWN_ITEM = 110, "not the start of an item",
"A file is a list of definitions (`fn`, `layer`, `net`, `loss`, `penalty`, `constraint`,
`optimizer`, `schedule`, `init`, `augment`, `metric`), `data` and `split` lines, constants
(`name = expression`), a `train` block and a `search`. Expressions stand inside these.
";
    MISSING_ELSE = 111, "a choice without its other half",
"`if` and `when` are expressions, so both cases need a value:

    if c then a else b
    when training { noisy } else { clean }
";
    BAD_TARGET = 112, "this cannot stand on the left of `=`",
"An equation defines a name, a list of names, an element in index notation, or the value of a
state after the step:

    h = e
    (a, b) = e
    y[n, o] = e
    v' = e

Nothing is changed in place: instead of `v += e` write `v' = v + e` for a state `v`, or give
the new value its own name.
";
    BAD_PIPE = 113, "a pipe leads into something that is not a function",
"`x |> f(a)` means `f(x, a)`: on the right of `|>` stands the name of a function, layer or net,
with its further arguments if there are any.
";
    UNKNOWN_NAME = 201, "a name that nothing defines",
"Every name is an input, an option, an equation of the same block, a constant or a definition of
the file or of the standard library. Names are case-sensitive; θ and theta are the same name.
In a `train` block the columns of the data are in scope as well.
";
    DUPLICATE_NAME = 202, "a name that is defined twice",
"Definitions are equations, so a name has one value. Nothing is changed in place: for a value
that changes from step to step, declare a `state v = ...` and write `v' = ...`. A file may
define a name of the standard library anew; its own definition is then the one meant.
";
    SHAPE_MISMATCH = 203, "these shapes do not fit",
"An operation meets two shapes that do not go together. Both are shown, with the places they
come from. Shapes are compared where a function is defined, for all sizes at once: axes with
the same label go together, other axes must have equal sizes, and a shape broadcasts into
another only if its axes fit in exactly one way. Size 1 does not stretch.

Sizes that are not proved equal count as different. If two axes are meant to be the same, give
them the same name; if every pairing of two axes is meant, write index notation:

    y[n, m] = a[n] + b[m]
";
    AMBIGUOUS_BROADCAST = 204, "shapes that fit in more than one way",
"A shape is stretched into another only if its axes fit in exactly one way. With `[64, 64]` and
`[64]` either axis could be meant. Say which:

    y[i, j] = a[i, j] + b[j]

or give the axes labels: with `a: [row: 64, column: 64]` and `b: [column: 64]` there is one way.
";
    WRONG_KIND = 205, "a definition of another kind is wanted",
"What a definition may be used for is said by the word it starts with: `using` wants an
`optimizer`, a parameter starts with an `init`, layers are applied inside layers and nets, and
a net, loss, penalty, metric or fn is applied like a function.
";
    WRONG_ARGUMENTS = 206, "arguments that do not match the definition",
"Inputs are given in order, options by name: `dense(x, 128, bias: ones)`. Options may also be
given in order, after the inputs. An option without a default must be given.
";
    CYCLE = 207, "equations in a circle",
"Equations may stand in any order, but no value may depend on itself. A value that depends on
its own value of the step before is a state: `state v = 0` and `v' = ... v ...`.
";
    RECURSION = 208, "a definition that uses itself",
"Definitions are expanded where they are used, so none may use itself, directly or through
others: there would be no end to it.
";
    NO_SUCH_AXIS = 209, "no axis of this name",
"A reduction names the axis it runs over by its label: `sum(x over K)`. `[N, K]` has the axes N
and K, `[rows: 64]` has the axis rows, and a literal size such as `[64]` has no label; give it
one, or use index notation. `..` means all axes of the pack.
";
    WRONG_INDEX = 210, "an index that points into another axis",
"An index says which axis it points into: `y: index(K)[N]` selects along an axis of size K.
`e[y]` needs exactly one such axis in `e`.
";
    WRONG_TYPE = 211, "a value of another type is wanted",
"Numbers, integers, truth values, positions, parameter sets and functions are different things.
Integers turn into numbers by themselves; a truth value becomes a number by `where(c, 1, 0)`.
A state that starts as an integer (`state t = 0`) stays one; write `0.0` for a number.
";
    NOT_ALLOWED_HERE = 212, "not allowed in this kind of definition",
"Parameters belong to layers and nets; state to layers, nets and optimizers. A `fn`, `loss`,
`penalty` or `metric` owns neither, and so cannot apply a layer either.
";
    UNASSIGNED = 213, "a next value that nothing assigns",
"`v'` is the value of `v` after the step. An optimizer has to say what becomes of the parameters:
`θ' = θ - lr*grad(J)(θ)`. Assign `v'` in the block where it is read, or in one around it.
";
    NOT_A_SCALAR = 214, "a single number is wanted",
"A derivative is taken of a single number, and a loss, a penalty or a metric is one. Reduce the
value: `mean(e)`, `sum(e over N, K)`.
";
    BAD_GRADIENT_TARGET = 215, "a derivative with respect to something that is no variable",
"`grad(e, x)` differentiates with respect to a name: an input, a parameter or an equation of the
block. To differentiate with respect to an expression, give it a name first and use the name:

    z = 2*x
    grad(sum(z^2), z)
";
    UNKNOWN_SIZE = 216, "a size that nothing determines",
"Each size variable has to be determined by the inputs: an axis on which it stands alone
(`[N, K]`), or a size input (`layer dense(x: [.., I], O)`). In `[4*H]` the H is checked, not
determined.
";
    BAD_INDEX_NOTATION = 217, "index notation that does not add up",
"In `y[n, o] = sum(i) x[n, i] * W[i, o]` every index stands for one axis, has one size wherever
it is used, and is either on the left or summed over.
";
    MISSING_CLAUSE = 218, "a `train` block that lacks something",
"Training needs to know what to minimize, on which data, with which optimizer and for how long:

    train {
        minimize cross_entropy(classifier(x), label)
        on       digits.train, batch 64
        using    adam(lr: 1e-3)
        epochs   20
    }

An objective that reads no column of the data needs no `on`; it is trained for a number of steps.
";
    DUPLICATE_CLAUSE = 219, "a clause that stands twice",
"Each clause of a `train` block stands at most once, and a file has at most one `train` block.
`epochs` and `steps` exclude each other.
";
    NOT_A_CONSTANT = 220, "a number known before training is wanted",
"Batch sizes, epochs and seeds are made of numbers, constants that are numbers, and + - * / ^.
Sizes are made of whole numbers, size variables and + - *. A constant that is computed, such as

    counts = sum(one_hot(digits.train.label) over N)

is a tensor of a size that is known, of data that is not streamed; it stands in formulas only.
";
    NOT_AVAILABLE = 221, "a part of the language that this version does not have",
"The word is reserved and its meaning is settled, but this version cannot compile it.
";
    UNKNOWN_PARAMETER = 222, "no such parameter",
"A parameter's path is the net, then the applications that lead to it, then its name:
`classifier.hidden.W` is W of `hidden = dense(x, 128)` in the net classifier. An application
that has no name of its own goes by the definition's, numbered if there are several:
`classifier.dense_1.W`. `weights`, `biases` and `all` are sets of parameters.
";
    BAD_SIGNATURE = 223, "a signature this kind of definition cannot have",
"An optimizer's first two inputs are the objective and the parameter set. An init's first input
stands for the parameter it fills, and it returns that shape. A loss, a penalty and a metric
return one number.
";
    NOT_DIFFERENTIABLE = 224, "a derivative that does not exist",
"The objective, or what `grad` is asked of, goes through an operation that has no derivative.
Put `stop( )` around the part through which no derivative is meant to flow.
";
    BAD_CONSTRAINT = 240, "a condition that cannot be kept",
"`keep` takes a constraint by name, or one of the inequalities that a projection restores after
an update:

    keep max_norm(bound: 3) for weights
    keep norm(W over fan_in) <= 3 for weights
    keep norm(W) == 1 for encoder.dense.W
    keep W >= 0 for biases
    keep multiplier >= 0

A free name on the left stands for each tensor of the set after `for`. Anything else is a
definition of kind `constraint`, which says how to come back to where the condition holds:

    constraint even(w: [..]) = w - mean(w)
";
    BAD_AUGMENT = 241, "an augmentation of what it must not change",
"`augment x = e` gives training another value of a column of numbers, of the same type. A column
of integers may hold classes, and a name that is no column has nothing to replace. A value of
another kind gets a name of its own; in evaluation it comes from the columns as they are:

    augment (x, soft) = mixup(x, one_hot(label))
";
    MIXES_ROWS = 250, "a derivative of each row of a function that mixes them",
"`jacobian(f)(x per N)` is the Jacobian of each row on its own: row n of the result by row n of
x. That exists only if row n of f(x) depends on row n of x alone. A function that reduces over
the rows, normalizes by them or reorders them does not; the message names the place. Without
`per` the Jacobian has every derivative of every row by every row.
";
    REQUIRED = 251, "a definition applied to what it does not allow",
"A definition says what it needs of its sizes and options,

    layer group_norm(x: [N, .., C], G) -> [N, .., C] requires G divides C { … }

and each application must give it that. The message names the sizes and options here. What is known
only when running, such as an option that depends on the step, is not looked at.
";
    UNREADABLE_FILE = 301, "a file that cannot be read",
"There is no file of that name, or it may not be read, or it is a directory or a device. Paths
in `data` are relative to the folder of the `.dl` file.
";
    NOT_UTF8 = 302, "a text file in another encoding",
"Programs and CSV files are UTF-8; a byte order mark is accepted. The marked byte belongs to
another encoding, often Latin-1 or UTF-16. Save the file as UTF-8.
";
    NO_ROWS = 303, "a data file without rows",
"A CSV file starts with a line that names the columns; each further line is one row. This file
has no rows, or nothing at all.
";
    BAD_HEADER = 304, "a header that names no columns",
"The first line of a CSV file names the columns, because models speak of columns by name:

    age,bmi,progression
    59,32.1,151

Here the first line holds only numbers, or one of its names is empty. The columns of a file
without such a line are called c1, c2, … if its declaration says `header: false`.
";
    RAGGED_ROW = 305, "a row with too few or too many cells",
"Every row of a CSV file has one cell for each name in the header. Common causes are a comma
within an unquoted cell, a comma used as the decimal point, and a line that was cut.
";
    NOT_A_NUMBER = 306, "a cell that is not a number",
"The columns of `x` are numbers, written with a decimal point: `3`, `-0.5`, `1e-4`. A column of
texts is turned into columns of 0 and 1 by `one_hot: color`, or left out by `drop: note`. The
texts of a target are classes if its first cell is one. Cells are separated by commas, unless
the declaration says `separator: \";\"`.
";
    NOT_FINITE = 307, "a value that is missing or cannot be used",
"A cell is empty or says that its value is not available, or a value is NaN, infinite or too
large for the type it is stored in. One such value would turn every parameter into NaN. Fill in
the value, or leave out rows with missing cells by `missing: drop`; for values beyond 3.4e38
rescale the column or use `--dtype f64`. So it is with a constant computed from columns.
";
    DUPLICATE_COLUMN = 308, "two columns of one name",
"Columns are found by their names in the header, so names must differ.
";
    UNKNOWN_COLUMN = 309, "a column that is not in the data",
"A column that the declaration or the model speaks of is not among the names of the header or
the arrays of the file. All columns but the targets and those dropped form the matrix `x`, so
no target can be called `x` and something must be left for `x`.
";
    MALFORMED_FILE = 310, "a data file that is not well formed",
"The bytes of the file do not follow its format, or its header does not agree with its length.
The file may have been cut while it was copied, or be of another kind than its name says.
";
    UNSUPPORTED_ELEMENTS = 311, "elements of an unsupported type",
"Tensors are read from files if their elements are floats of 16, 32 or 64 bits, integers of 8 to
64 bits, or booleans. Convert others before they are stored.
";
    NOT_ROWS = 312, "tensors that do not form a data set",
"The first axis of every tensor of a data set counts its rows. All must have the same number of
rows, at least one, and hold at least one value a row.
";
    INDEX_OUT_OF_RANGE = 313, "data that is no index of its axis",
"A column used as `index(K)` holds integers from 0 to K - 1. Classes that are numbered from 1
are one too large; a column of floats is no index, even if its values are whole.
";
    BAD_SPLIT = 314, "a split that cannot be made",
"Parts of a split have different names and shares above 0% that add up to at most 100%, and
each gets at least one row:

    split digits into train 70%, valid 15%, test 15%
";
    UNWRITABLE_FILE = 315, "a file that cannot be written",
"The file was not written, and what stood there before is unchanged. The reason is that of the
operating system.
";
    BAD_DATA_DECLARATION = 316, "a `data` declaration that names no data",
"Data is declared by a reader and its files, whose paths are relative to the `.dl` file:

    data digits = csv(\"data/digits.csv\", target: label)
    data pool   = safetensors(\"pool.safetensors\")
    data pairs  = npy(x: \"x.npy\", y: \"y.npy\")
    data mnist  = idx(x: \"train-images-idx3-ubyte.gz\", y: \"train-labels-idx1-ubyte.gz\")
";
    BAD_CATEGORY = 320, "a value outside the categories of its column",
"Columns of categories (`one_hot: color`, or a target of texts) hold integers or texts. Their
values are numbered in sorted order when the training data is read, and the numbers are stored
with the trained parameters. A further file may have no other values in these columns, and only
integers where the training data had only integers.
";
    BAD_STANDARDIZE = 321, "a column that cannot be standardized",
"`standardize D.x by D.train` takes from every feature of x its mean over the training part and
divides by its standard deviation there:

    data digits = csv(\"data/digits.csv\", target: label)
    split digits into train 80%, test 20%
    standardize digits.x by digits.train

That is for measurements, not for numbers of classes or categories. `standardize D by D.train`
is for every column of floats that is no target, so the targets must be known.
";
    STREAMED = 322, "something a streamed file cannot be used for",
"`stream: true` reads a file block by block, so that it need not fit into memory. No list of its
rows is kept: a split assigns a row by a hash of its number, and cannot be stratified. Arrays are
streamed if they are stored in C order, row after row.
";
    MISSING_TRAIN = 401, "a program without a `train` block",
"To run a program there must be something to train. The smallest block is

    train {
        minimize cross_entropy(classifier(x), label)
        on       digits, batch 64
        using    sgd(lr: 0.1)
        epochs   10
    }
";
    NOTHING_TO_TRAIN = 402, "no parameters to train",
"The objective applies no net or layer that owns a `param`, or `over` names none of those it
applies.
";
    INSTANCE_MISMATCH = 403, "one instance with two shapes",
"A net is one instance: every application of it uses the same parameters. Applying it to inputs
with another number of features would need parameters of another shape. A `layer`, in contrast,
has parameters of its own in every application.
";
    STATE_WRITTEN_TWICE = 404, "two next values for one state",
"A state such as a running average has one value before the step and one after it. An instance
that is applied twice within one evaluation of the objective would assign it twice.
";
    SIZE_NOT_CONSTANT = 405, "a parameter whose shape depends on the batch",
"Parameters and state live longer than a batch, so their sizes must be known before any batch is
there: numbers, sizes given as arguments, and the features of the data.
";
    DIVERGED = 406, "training diverged",
"The loss or a parameter became NaN or infinite. The steps before were run again one by one, and
the marked expression is the first one that made such a value out of finite ones. Usual causes
are a learning rate that is too high, a division by zero, and the logarithm of zero.
";
    TRAINED_TWICE = 420, "a parameter with two players",
"Each player of a step, a `minimize` or a `maximize`, updates parameters of its own, since all
read the values from before the step and each parameter gets one value after it. Say with
`over` whose is which:

    minimize cost + price * excess over model
    maximize price * excess        over multiplier
";
    FITS_NOTHING = 421, "a constraint that fits no parameter",
"A constraint acts on each tensor that has the axes of its input. None of the parameters it is
said to hold of has them, or none of them is trained. A bias, which has one axis, does not fit
`constraint max_norm(w: [.., I, O])`; `w: [..]` fits every tensor.
";
    NO_RULE = 422, "parameters without a rule",
"`using sgd for head` is the rule of the parameters of `head` only. The others need one too:

    using sgd(lr: 0.1) for head
    using adam(lr: 1e-3)
";
    NESTED_TOO_DEEP = 501, "nested too deeply",
"Expressions, types and blocks may be nested 128 levels deep, and a chain such as
`a + b + c + …` counts a level for each operator. Give parts of the formula their own names.
";
    FILE_TOO_LARGE = 502, "a source file that is too large",
"A source file may hold up to 2 MiB. Data belongs in files of its own, read with `data`.
";
    TOO_MANY_ERRORS = 503, "too many errors",
"After 100 errors in one file the rest are not shown: most of them tend to follow from the
first few.
";
    DATA_TOO_LARGE = 504, "a data file larger than the memory",
"Data sets are held in memory unless they are streamed. The file is larger than the memory that
is available, so it was not read. Say `stream: true` (CSV and NPY), or use a part of it.
";
    TOO_MUCH_MEMORY = 505, "a program that needs more memory than there is",
"Everything a step works with is placed in memory before the first step: parameters, what the
optimizer keeps for each of them, the batch, and the values in between. If that is more than
the memory available, nothing is allocated. Look at the sizes of the marked parameter, or take
smaller batches.
";
    EXPANSION_TOO_LARGE = 506, "a program that expands without measure",
"Every definition is expanded at each of its applications. With

    fn f1(x) = f0(x) + f0(x)
    fn f2(x) = f1(x) + f1(x)

and so on, f20 stands for a million copies of f0. Name what is used twice: `h = f0(x)`, then
`h + h`.
";
    DAMAGED_CHECKPOINT = 601, "a checkpoint that is not what was saved",
"A checkpoint carries a checksum of all its bytes. If the file was cut short, changed by as much
as one bit, or written by a program other than dlc, it is refused: to go on from it would be to
go on from somewhere else. `runs/NAME` holds two of them, `last.safetensors` and
`best.safetensors`.
";
    RUN_EXISTS = 602, "a run of this name that is there already",
"Runs are not overwritten. Leave `--name` out for the next free name, choose another one, go on
with the run by `--resume`, or say `--overwrite` to remove it first.
";
    NO_SUCH_RUN = 603, "a run that is not there",
"`--resume`, `dlc predict` and `dlc eval` take the folder of a run, such as `runs/digits`, or one
of its checkpoints. `dlc run FILE` makes such a folder.
";
    RUN_CHANGED = 604, "a run whose program or data has changed",
"A resumed run equals one that was never interrupted, bit for bit. That is not so if the program,
its constants, its data or the standard library are others than those the run began with. To
train the program as it is now, begin a new run; with `--init runs/NAME/best.safetensors` it starts
from the parameters of the old one.
";
    CANNOT_PREDICT = 605, "a net that cannot be applied to this data",
"`dlc predict` applies a net as the `train` block does: with the columns that stand in the
application, in evaluation mode. The new data needs columns of these names and shapes; the target
may be missing if the net does not read it.
";
}

/// The explanation of a code given as a user types it: `E0203`, `e203`, `203`.
pub fn explain(text: &str) -> Option<&'static Explanation> {
    let digits = text.trim().trim_start_matches(['E', 'e']);
    let number: u16 = digits.parse().ok()?;
    ALL.iter().find(|entry| entry.code == Code(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn numbers_ascend_and_texts_are_there() {
        for pair in ALL.windows(2) {
            assert!(pair[0].code < pair[1].code, "{} before {}", pair[0].code, pair[1].code);
        }
        for entry in ALL {
            assert!(!entry.title.is_empty() && entry.text.ends_with('\n'), "{}", entry.code);
            assert!(entry.text.lines().all(|line| line.chars().count() <= 100), "{}: a long line", entry.code);
        }
    }

    #[test]
    fn codes_are_found_as_typed() {
        for text in ["E0203", "e0203", "203", " E203 "] {
            assert_eq!(explain(text).map(|entry| entry.code), Some(SHAPE_MISMATCH), "{text}");
        }
        assert_eq!(explain("E9999"), None);
        assert_eq!(explain("shapes"), None);
    }

    /// Numbers written as `Code(…)` or `E0…` anywhere in the sources stand in the table.
    #[test]
    fn every_code_in_the_tree_is_explained() {
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
        let mut seen = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("source/codes.rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    for number in literal_codes(&text) {
                        seen += 1;
                        assert!(explain(&number).is_some(), "{}: {number} is not in the table", path.display());
                    }
                }
            }
        }
        assert!(seen > 0, "the search found nothing at all");
    }

    fn literal_codes(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        for (mark, length) in [("Code(", None), ("E0", Some(3))] {
            for (at, _) in text.match_indices(mark) {
                let digits: String = text[at + mark.len()..].chars().take_while(char::is_ascii_digit).collect();
                if length.map_or(!digits.is_empty(), |n| digits.len() == n) {
                    found.push(digits);
                }
            }
        }
        found
    }
}
