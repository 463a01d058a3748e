//! Applications of definitions.

use super::Elaborator;
use super::frame::{Closure, Frame, Value};
use crate::check::typed::{Call, Definition, InputKind, Instance, Kind};
use crate::ir::{Size, Symbol};
use crate::source::{Diagnostic, Span, codes};
use std::collections::BTreeMap;
use std::sync::Arc;

impl<'p> Elaborator<'p> {
    pub(super) fn call(&mut self, frame: &mut Frame<'p>, call: &'p Call, span: Span) -> Result<Value, Diagnostic> {
        let args: Result<Vec<Value>, _> = call.args.iter().map(|a| self.expression(frame, a)).collect();
        let args = args?;
        let options = self.options(frame, &call.options)?;
        let definition = self.program.definition(call.def);
        let path: Arc<str> = match &call.instance {
            Instance::None => frame.path.clone(),
            Instance::New { segment, loops } => frame.member(segment, loops),
            Instance::Net => definition.name.as_str().into(),
        };
        let sizes: BTreeMap<Symbol, Size> = call.sizes.iter().map(|(s, size)| (s.clone(), frame.size(size))).collect();
        if let Some((symbol, size)) =
            sizes.iter().find(|(_, s)| s.symbols().is_empty() && s.as_constant().unwrap_or(0) < 1)
        {
            let message = format!("the size {} of `{}` is {size}", symbol.0, definition.name);
            let place = if span.file == self.train.span.file { span } else { self.written().unwrap_or(span) };
            return Err(Diagnostic::new(codes::NOT_A_CONSTANT, message).at(place, "a size is at least 1"));
        }
        let packs = call.packs.iter().map(|axes| frame.dims(axes)).collect();
        let place = Place { path, chain: frame.site(call.site.0) };
        self.apply(definition, sizes, packs, args, &options, place, span)
    }

    pub(super) fn apply_closure(
        &mut self,
        frame: &mut Frame<'p>,
        closure: &Closure,
        args: Vec<Value>,
        chain: u64,
        span: Span,
    ) -> Result<Value, Diagnostic> {
        let definition = self.program.definition(closure.def);
        let place = Place { path: closure.path.clone(), chain };
        let value =
            self.apply(definition, closure.sizes.clone(), closure.packs.clone(), args, &closure.options, place, span)?;
        self.at(frame, span);
        Ok(value)
    }

    #[allow(clippy::too_many_arguments)]
    fn apply(
        &mut self,
        definition: &'p Definition,
        sizes: BTreeMap<Symbol, Size>,
        packs: Vec<Vec<Size>>,
        args: Vec<Value>,
        options: &[Option<Value>],
        place: Place,
        span: Span,
    ) -> Result<Value, Diagnostic> {
        let mut frame = Frame {
            definition: Some(definition),
            locals: vec![None; definition.locals.len()],
            sizes,
            packs,
            path: place.path,
            chain: place.chain,
        };
        self.open(span);
        self.at(&frame, span);
        for (input, arg) in definition.inputs.iter().zip(args) {
            if let InputKind::Value(local) = input.kind {
                self.bind(&mut frame, local, arg);
            }
        }
        self.bind_options(&mut frame, definition, options)?;
        let value = self.block(&mut frame, &definition.body)?;
        self.close();
        let value = value.expect("the checker lets only definitions with a result be called");
        if let (Kind::Net, Value::Tensor(node)) = (definition.kind, &value) {
            self.nets.push((definition.name.clone(), *node));
        }
        Ok(value)
    }

    /// Binds every option, given or by its default, in order.
    pub(super) fn bind_options(
        &mut self,
        frame: &mut Frame<'p>,
        definition: &'p Definition,
        given: &[Option<Value>],
    ) -> Result<(), Diagnostic> {
        for (k, option) in definition.options.iter().enumerate() {
            let value = match (given.get(k).cloned().flatten(), &option.default) {
                (Some(value), _) => value,
                (None, Some(default)) => self.expression(frame, default)?,
                (None, None) => panic!("this is a bug in dlc: option {} is missing after checking", option.name),
            };
            self.bind(frame, option.local, value);
        }
        Ok(())
    }
}

/// Where an application stands: the path of its instance and its chain of sites.
struct Place {
    path: Arc<str>,
    chain: u64,
}
