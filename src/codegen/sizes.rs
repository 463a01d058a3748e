//! Sizes computed at run time from the values of symbols.
//!
//! Input: polynomials over symbols. Output: 64-bit integers, wrapping; what does not fit is refused before a run.

use super::CodegenError;
use super::table::TableLayout;
use crate::ir::{Atom, Size, Symbol};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value, types};
use cranelift_frontend::FunctionBuilder;
use std::collections::BTreeMap;

/// Memory that no one writes while the step runs, at an address that is always valid.
pub(super) fn fixed() -> MemFlagsData {
    MemFlagsData::trusted().with_readonly().with_can_move()
}

/// Sizes of one function: constants where they are used, everything else computed once in its entry block.
pub(super) struct Sizes<'a> {
    layout: &'a TableLayout,
    table: Value,
    known: BTreeMap<Size, Value>,
}

impl<'a> Sizes<'a> {
    pub fn new(layout: &'a TableLayout, table: Value) -> Sizes<'a> {
        Sizes { layout, table, known: BTreeMap::new() }
    }

    /// Computes a size in the current block, which must be the entry.
    pub fn prepare(&mut self, builder: &mut FunctionBuilder, size: &Size) -> Result<(), CodegenError> {
        if size.as_constant().is_none() && !self.known.contains_key(size) {
            let value = self.polynomial(builder, size)?;
            self.known.insert(size.clone(), value);
        }
        Ok(())
    }

    /// The value of a size that is constant or was prepared.
    pub fn get(&self, builder: &mut FunctionBuilder, size: &Size) -> Result<Value, CodegenError> {
        if let Some(n) = size.as_constant() {
            return Ok(builder.ins().iconst(types::I64, n as i64));
        }
        let known = self.known.get(size).copied();
        known.ok_or_else(|| CodegenError::Internal(format!("the size {size} was not prepared")))
    }

    /// The value of any size, in the entry block.
    pub fn value(&mut self, builder: &mut FunctionBuilder, size: &Size) -> Result<Value, CodegenError> {
        self.prepare(builder, size)?;
        self.get(builder, size)
    }

    /// What a word of the table holds.
    pub fn word(&self, builder: &mut FunctionBuilder, word: usize) -> Value {
        builder.ins().load(types::I64, fixed(), self.table, (word * 8) as i32)
    }

    fn symbol(&self, builder: &mut FunctionBuilder, symbol: &Symbol) -> Result<Value, CodegenError> {
        let word = self.layout.symbol(symbol);
        let word = word.ok_or_else(|| CodegenError::Internal(format!("the program has no symbol {}", symbol.0)))?;
        Ok(self.word(builder, word))
    }

    fn polynomial(&mut self, builder: &mut FunctionBuilder, size: &Size) -> Result<Value, CodegenError> {
        let mut sum = None;
        for (coefficient, atoms) in size.terms() {
            let coefficient =
                i64::try_from(coefficient).map_err(|_| CodegenError::Internal(format!("{size} overflows")))?;
            let mut product = None;
            for (atom, power) in atoms {
                let value = self.atom(builder, atom)?;
                for _ in 0..*power {
                    product = Some(match product {
                        None => value,
                        Some(product) => builder.ins().imul(product, value),
                    });
                }
            }
            let term = match product {
                None => builder.ins().iconst(types::I64, coefficient),
                Some(product) if coefficient == 1 => product,
                Some(product) => builder.ins().imul_imm_s(product, coefficient),
            };
            sum = Some(match sum {
                None => term,
                Some(sum) => builder.ins().iadd(sum, term),
            });
        }
        Ok(sum.unwrap_or_else(|| builder.ins().iconst(types::I64, 0)))
    }

    fn atom(&mut self, builder: &mut FunctionBuilder, atom: &Atom) -> Result<Value, CodegenError> {
        match atom {
            Atom::Symbol(symbol) => self.symbol(builder, symbol),
            Atom::FloorDiv(a, b) => {
                let (a, b) = (self.polynomial(builder, a)?, self.polynomial(builder, b)?);
                // Divisors are positive wherever a run is admitted; the minimum of one only keeps the division from trapping.
                let one = builder.ins().iconst(types::I64, 1);
                let b = builder.ins().smax(b, one);
                let quotient = builder.ins().sdiv(a, b);
                let back = builder.ins().imul(quotient, b);
                let above = builder.ins().icmp(IntCC::SignedGreaterThan, back, a);
                let above = builder.ins().uextend(types::I64, above);
                Ok(builder.ins().isub(quotient, above))
            }
        }
    }
}
