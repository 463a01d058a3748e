//! Sizes: polynomials with integer coefficients over named symbols and opaque floor divisions, in normal form.
//!
//! Two sizes are equal exactly when their normal forms are; sizes that are not proved equal count as different. A normal
//! form is bounded: products of sums would grow without end, so what is too large becomes one size that has no value.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Add, Mul, Neg, Sub};
use std::sync::Arc;

/// The name of a size known only later: `N`, the rows of a batch.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Symbol(pub Arc<str>);

impl Symbol {
    pub fn new(name: &str) -> Self {
        Symbol(name.into())
    }
}

/// What a monomial multiplies: a symbol or a floor division that the polynomial cannot look into.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Atom {
    Symbol(Symbol),
    FloorDiv(Size, Size),
}

type Monomial = Vec<(Atom, u32)>;

/// A polynomial in normal form: monomials sorted, no zero coefficient. Copies share it: every node of a graph has sizes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Size {
    terms: Arc<Vec<(Monomial, i128)>>,
}

/// The most terms, factors and powers of a normal form, those within floor divisions included.
const LARGEST: usize = 2000;

/// The symbol that stands for a size beyond [`LARGEST`]; no source can write it.
const TOO_LARGE: &str = "(too large)";

/// Values of symbols.
pub type Bindings = BTreeMap<Symbol, u64>;

/// Why a size has no value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SizeError {
    Unbound(Symbol),
    Negative(i128),
    Overflow,
    DivisionByZero,
}

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SizeError::Unbound(s) => write!(f, "the size {} has no value", s.0),
            SizeError::Negative(n) => write!(f, "the size comes out as {n}, which is negative"),
            SizeError::Overflow => write!(f, "the size does not fit in 64 bits"),
            SizeError::DivisionByZero => write!(f, "the size divides by zero"),
        }
    }
}

impl Size {
    pub fn constant(n: u64) -> Size {
        Size::integer(n as i128)
    }

    fn of(terms: Vec<(Monomial, i128)>) -> Size {
        Size { terms: Arc::new(terms) }
    }

    fn integer(n: i128) -> Size {
        Size::of(if n == 0 { vec![] } else { vec![(vec![], n)] })
    }

    pub fn symbol(name: &str) -> Size {
        Size::atom(Atom::Symbol(Symbol::new(name)))
    }

    fn atom(atom: Atom) -> Size {
        Size::of(vec![(vec![(atom, 1)], 1)])
    }

    /// The value, if no symbol is in it and it is not negative.
    pub fn as_constant(&self) -> Option<u64> {
        self.as_integer().and_then(|n| u64::try_from(n).ok())
    }

    fn as_integer(&self) -> Option<i128> {
        match self.terms.as_slice() {
            [] => Some(0),
            [(m, c)] if m.is_empty() => Some(*c),
            _ => None,
        }
    }

    /// The symbol, if the size is one standing alone.
    pub fn as_symbol(&self) -> Option<&Symbol> {
        match self.terms.as_slice() {
            [(m, 1)] => match m.as_slice() {
                [(Atom::Symbol(s), 1)] => Some(s),
                _ => None,
            },
            _ => None,
        }
    }

    /// `⌊self / by⌋`; exact where every coefficient divides by a constant `by`.
    pub fn floor_div(&self, by: &Size) -> Size {
        if let Some(d) = by.as_constant().filter(|d| *d > 0).map(i128::from) {
            if let [(m, c)] = self.terms.as_slice()
                && m.is_empty()
            {
                return Size::integer(c.div_euclid(d));
            }
            if self.terms.iter().all(|(_, c)| c % d == 0) {
                return Size::of(self.terms.iter().map(|(m, c)| (m.clone(), c / d)).collect());
            }
        }
        if self.is_too_large() || by.is_too_large() {
            return Size::too_large();
        }
        if self == by {
            return Size::constant(1);
        }
        Size::atom(Atom::FloorDiv(self.clone(), by.clone())).bounded()
    }

    /// Whether this stands for a size whose normal form would be too large to handle.
    pub fn is_too_large(&self) -> bool {
        self.terms.iter().flat_map(|(m, _)| m).any(|(atom, _)| matches!(atom, Atom::Symbol(s) if &*s.0 == TOO_LARGE))
    }

    fn too_large() -> Size {
        Size::symbol(TOO_LARGE)
    }

    /// The size, unless it is too large or made of one that is.
    fn bounded(self) -> Size {
        if self.weight() > LARGEST || (self.terms.len() > 1 && self.is_too_large()) { Size::too_large() } else { self }
    }

    fn weight(&self) -> usize {
        let of = |(atom, power): &(Atom, u32)| match atom {
            Atom::Symbol(_) => *power as usize,
            Atom::FloorDiv(a, b) => (1 + a.weight() + b.weight()).saturating_mul(*power as usize),
        };
        self.terms.iter().fold(0, |sum, (m, _)| m.iter().map(of).fold(sum.saturating_add(1), usize::saturating_add))
    }

    /// Whether it holds a division that is not exact for all values of its symbols.
    pub fn divides(&self) -> bool {
        self.terms.iter().flat_map(|(m, _)| m).any(|(atom, _)| matches!(atom, Atom::FloorDiv(..)))
    }

    /// Every symbol in it, each once, sorted.
    pub fn symbols(&self) -> Vec<Symbol> {
        let mut out = Vec::new();
        self.collect_symbols(&mut out);
        out.sort();
        out.dedup();
        out
    }

    fn collect_symbols(&self, out: &mut Vec<Symbol>) {
        for (atom, _) in self.terms.iter().flat_map(|(m, _)| m) {
            match atom {
                Atom::Symbol(s) => out.push(s.clone()),
                Atom::FloorDiv(a, b) => {
                    a.collect_symbols(out);
                    b.collect_symbols(out);
                }
            }
        }
    }

    /// Replaces symbols; a symbol for which `f` has nothing stays.
    pub fn substitute(&self, f: &impl Fn(&Symbol) -> Option<Size>) -> Size {
        if let Some(symbol) = self.as_symbol() {
            return f(symbol).unwrap_or_else(|| self.clone());
        }
        if self.as_integer().is_some() {
            return self.clone();
        }
        let mut out = Size::default();
        for (monomial, coefficient) in self.terms.iter() {
            let mut term = Size::integer(*coefficient);
            for (atom, power) in monomial {
                let value = match atom {
                    Atom::Symbol(s) => f(s).unwrap_or_else(|| Size::atom(atom.clone())),
                    Atom::FloorDiv(a, b) => a.substitute(f).floor_div(&b.substitute(f)),
                };
                for _ in 0..*power {
                    term = &term * &value;
                }
            }
            out = &out + &term;
        }
        out
    }

    /// The value under `bindings`.
    pub fn eval(&self, bindings: &Bindings) -> Result<u64, SizeError> {
        let n = self.eval_integer(bindings)?;
        if n < 0 {
            return Err(SizeError::Negative(n));
        }
        u64::try_from(n).map_err(|_| SizeError::Overflow)
    }

    fn eval_integer(&self, bindings: &Bindings) -> Result<i128, SizeError> {
        let mut sum = 0i128;
        for (monomial, coefficient) in self.terms.iter() {
            let mut product = *coefficient;
            for (atom, power) in monomial {
                let value = match atom {
                    Atom::Symbol(s) => i128::from(*bindings.get(s).ok_or_else(|| SizeError::Unbound(s.clone()))?),
                    Atom::FloorDiv(a, b) => {
                        let d = b.eval_integer(bindings)?;
                        if d == 0 {
                            return Err(SizeError::DivisionByZero);
                        }
                        a.eval_integer(bindings)?.div_euclid(d)
                    }
                };
                for _ in 0..*power {
                    product = product.checked_mul(value).ok_or(SizeError::Overflow)?;
                }
            }
            sum = sum.checked_add(product).ok_or(SizeError::Overflow)?;
        }
        Ok(sum)
    }

    /// The terms as (coefficient, atoms with powers), for whoever must compute the size at run time.
    pub fn terms(&self) -> impl Iterator<Item = (i128, &[(Atom, u32)])> {
        self.terms.iter().map(|(m, c)| (*c, m.as_slice()))
    }

    fn from_map(map: BTreeMap<Monomial, i128>) -> Size {
        Size::of(map.into_iter().filter(|(_, c)| *c != 0).collect())
    }
}

fn product(a: &Monomial, b: &Monomial) -> Monomial {
    let mut powers: BTreeMap<Atom, u32> = a.iter().cloned().collect();
    for (atom, p) in b {
        let power = powers.entry(atom.clone()).or_insert(0);
        *power = power.saturating_add(*p);
    }
    powers.into_iter().collect()
}

impl Add for &Size {
    type Output = Size;
    fn add(self, other: &Size) -> Size {
        if let (Some(a), Some(b)) = (self.as_integer(), other.as_integer()) {
            return Size::integer(a.saturating_add(b));
        }
        let mut map: BTreeMap<Monomial, i128> = self.terms.iter().cloned().collect();
        for (m, c) in other.terms.iter() {
            let e = map.entry(m.clone()).or_insert(0);
            *e = e.saturating_add(*c);
        }
        Size::from_map(map).bounded()
    }
}

impl Neg for &Size {
    type Output = Size;
    fn neg(self) -> Size {
        Size::of(self.terms.iter().map(|(m, c)| (m.clone(), c.saturating_neg())).collect())
    }
}

impl Sub for &Size {
    type Output = Size;
    fn sub(self, other: &Size) -> Size {
        self.add(&-other)
    }
}

impl Mul for &Size {
    type Output = Size;
    fn mul(self, other: &Size) -> Size {
        match (self.as_integer(), other.as_integer()) {
            (Some(a), Some(b)) => return Size::integer(a.saturating_mul(b)),
            (Some(1), _) => return other.clone(),
            (_, Some(1)) => return self.clone(),
            _ => {}
        }
        if self.terms.len().saturating_mul(other.terms.len()) > LARGEST {
            return Size::too_large();
        }
        let mut map: BTreeMap<Monomial, i128> = BTreeMap::new();
        for (ma, ca) in self.terms.iter() {
            for (mb, cb) in other.terms.iter() {
                let e = map.entry(product(ma, mb)).or_insert(0);
                *e = e.saturating_add(ca.saturating_mul(*cb));
            }
        }
        Size::from_map(map).bounded()
    }
}

impl From<u64> for Size {
    fn from(n: u64) -> Size {
        Size::constant(n)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.terms.is_empty() {
            return write!(f, "0");
        }
        // Symbols first, the constant last, as people write them.
        for (k, (monomial, c)) in self.terms.iter().rev().enumerate() {
            let sign = if *c < 0 { "-" } else { "+" };
            match (k, *c < 0) {
                (0, true) => write!(f, "-")?,
                (0, false) => {}
                _ => write!(f, " {sign} ")?,
            }
            let magnitude = c.unsigned_abs();
            let mut first = true;
            if magnitude != 1 || monomial.is_empty() {
                write!(f, "{magnitude}")?;
                first = false;
            }
            for (atom, power) in monomial {
                if !first {
                    write!(f, "*")?;
                }
                first = false;
                match atom {
                    Atom::Symbol(s) => write!(f, "{}", s.0)?,
                    Atom::FloorDiv(a, b) => write!(f, "floor(({a})/({b}))")?,
                }
                if *power > 1 {
                    write!(f, "^{power}")?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_forms_decide_equality() {
        let (h, n) = (Size::symbol("H"), Size::symbol("N"));
        let sum = &h + &n;
        assert_eq!(&sum * &sum, &(&(&h * &h) + &(&(&h * &n) * &2.into())) + &(&n * &n));
        assert_eq!(&(&h * &4.into()) - &(&h * &4.into()), Size::constant(0));
        assert_ne!(h, n);
        assert_eq!((&h * &4.into()).floor_div(&4.into()), h);
    }

    #[test]
    fn evaluation_refuses_overflow_and_negative_sizes() {
        let h = Size::symbol("H");
        let bindings = Bindings::from([(Symbol::new("H"), u64::MAX)]);
        assert_eq!((&h * &h).eval(&bindings), Err(SizeError::Overflow));
        assert_eq!((&Size::constant(3) - &Size::constant(5)).eval(&bindings), Err(SizeError::Negative(-2)));
        assert_eq!(Size::symbol("K").eval(&bindings), Err(SizeError::Unbound(Symbol::new("K"))));
    }

    #[test]
    fn products_do_not_grow_without_end() {
        let sum = |k: usize| &Size::symbol(&format!("A{k}")) + &Size::symbol(&format!("B{k}"));
        assert!(!(0..5).fold(Size::constant(1), |p, k| &p * &sum(k)).is_too_large());
        assert!((0..100).fold(Size::constant(1), |p, k| &p * &sum(k)).is_too_large());
        assert!((0..64).fold(Size::symbol("N"), |p, _| &p * &p).is_too_large());
        let halved = |s: Size| s.floor_div(&(&s + &1.into()));
        assert!((0..100).fold(Size::symbol("N"), |s, _| halved(s)).is_too_large());
    }

    #[test]
    fn display_reads_as_written() {
        let h = Size::symbol("H");
        assert_eq!((&(&h * &4.into()) + &1.into()).to_string(), "4*H + 1");
        assert_eq!((&h - &1.into()).to_string(), "H - 1");
    }
}
