//! A compiled program: its code, its text and where its functions are.
//!
//! Invariant: the code lives as long as [`Compiled`], and is called only through it.

use super::calls::{self, Calls};
use super::crew::{Crew, Functions, Part, Whole};
use super::executable::{Executable, module};
use super::kernel::Emitter;
use super::planner::{by_columns, worth_parts};
#[cfg(target_arch = "x86_64")]
use super::step::emit_wide;
use super::step::{emit_order, emit_product, emit_step};
use super::table::TableLayout;
use super::{CodegenError, Cpu, Options, order, product, target};
use crate::ir::{Bindings, DType, Size, Symbol};
use crate::schedule::kernel::{Expr, Index, Kernel};
use crate::schedule::program::{Buffer, Program, ProgramOutput, Work};
use cranelift_codegen::Context;
use cranelift_codegen::ir::{AbiParam, Signature, UserFuncName, types};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_module::{FuncId, Linkage, Module, ModuleError};
use std::fmt::Write;

/// Positions and element numbers are 32-bit integers in programs that compute in f32, and draws take 32-bit numbers.
const MOST_POSITIONS: i128 = 1 << 31;

/// A step's machine code.
pub struct Compiled {
    /// Keeps the code alive; dropped last.
    _executable: Executable,
    step: Whole,
    parts: Vec<Whole>,
    /// Runs the step in place of its function where that is faster.
    crew: Option<Crew>,
    layout: TableLayout,
    interface: Interface,
    code_bytes: usize,
    wide: Vec<bool>,
    plan: String,
    clif: String,
    asm: String,
}

/// What a program asks of whoever runs it.
#[derive(Clone, Debug)]
pub struct Interface {
    /// The symbols a run gives values to, sorted, and their greatest values.
    pub symbols: Vec<Symbol>,
    pub capacity: Bindings,
    pub buffers: Vec<Buffer>,
    pub outputs: Vec<ProgramOutput>,
    /// Bytes of the arena.
    pub arena: u64,
    /// The names of the parts, in order.
    pub parts: Vec<String>,
}

/// What emitting a program gives.
struct Emitted {
    step: FuncId,
    parts: Vec<FuncId>,
    /// For each part, its function of a span of rows.
    spans: Vec<Option<FuncId>>,
    /// For each part, whether it has code for wide vectors.
    wide: Vec<bool>,
    code_bytes: usize,
    clif: String,
    asm: String,
}

/// Compiles a program for this machine.
///
/// # Errors
/// If the machine is not supported, gives no memory, or the program breaks a rule of kernel IR.
pub fn compile(program: &Program, options: &Options) -> Result<Compiled, CodegenError> {
    check(program)?;
    if !options.cpu.is_available() {
        return Err(CodegenError::Cpu(format!("this CPU has no vectors of {:?}", options.cpu)));
    }
    #[cfg(target_arch = "x86_64")]
    if options.cpu != Cpu::Portable {
        super::team::prepare(options.threads);
    }
    let isa = target::native(options.verify)?;
    let symbols = [
        (library_name(DType::F32), product::product_f32 as *const u8),
        (library_name(DType::F64), product::product_f64 as *const u8),
        (span_name(DType::F32), product::span_f32 as *const u8),
        (span_name(DType::F64), product::span_f64 as *const u8),
        order::function(DType::F32),
        order::function(DType::F64),
        order::function(DType::I32),
        order::function(DType::I64),
    ];
    let mut module = module(isa, &symbols)?;
    // Only the emitted products look rows up.
    let scattered = if options.cpu == Cpu::Portable { Vec::new() } else { program.scattered() };
    let layout = TableLayout::new(program, scattered);
    let emitted = emit(&mut module, program, &layout, options)?;
    let executable = Executable::new(module)?;
    // SAFETY: `emit` gives every function this type, with the machine's C calling convention.
    let function = |id| unsafe { std::mem::transmute::<*const u8, Whole>(executable.address(id)) };
    // SAFETY: likewise functions of spans, with the convention of Unix.
    let part = |id| unsafe { std::mem::transmute::<*const u8, Part>(executable.address(id)) };
    let (step, parts) = (function(emitted.step), emitted.parts.iter().map(|id| function(*id)).collect::<Vec<_>>());
    let spans = emitted.spans.iter().map(|id| id.map(part));
    let functions = parts.iter().zip(spans).map(|(whole, part)| Functions { whole: *whole, part });
    let crew = Crew::new(program, &layout, &functions.collect::<Vec<_>>(), options);
    let mut table = vec![0; layout.words()];
    for (symbol, value) in &program.capacity {
        layout.symbol(symbol).into_iter().for_each(|word| table[word] = *value);
    }
    let plan =
        crew.as_ref().map_or_else(|| "one step after the other on one thread\n".into(), |crew| crew.plan(&table));
    let Emitted { code_bytes, wide, clif, asm, .. } = emitted;
    let interface = Interface {
        symbols: program.symbols.clone(),
        capacity: program.capacity.clone(),
        buffers: program.buffers.clone(),
        outputs: program.outputs.clone(),
        arena: program.arena_bytes(),
        parts: program.steps.iter().map(|s| s.name.clone()).collect(),
    };
    Ok(Compiled { _executable: executable, step, parts, crew, layout, interface, code_bytes, wide, plan, clif, asm })
}

impl Compiled {
    /// What runs at the same time, on how many threads and in which tiles, at capacity.
    pub fn plan(&self) -> &str {
        &self.plan
    }

    /// The functions as Cranelift IR, if text was asked for.
    pub fn clif(&self) -> &str {
        &self.clif
    }

    /// The functions as instructions of the machine, if text was asked for.
    pub fn asm(&self) -> &str {
        &self.asm
    }

    /// Bytes of machine code.
    pub fn code_bytes(&self) -> usize {
        self.code_bytes
    }

    /// For each part, whether it is a kernel with code for vectors of 256 or 512 bits.
    pub fn wide(&self) -> &[bool] {
        &self.wide
    }

    pub fn layout(&self) -> &TableLayout {
        &self.layout
    }

    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// Runs the step.
    ///
    /// # Safety
    /// `table` must be laid out as [`Compiled::layout`] says: symbols within the program's capacity, and buffers at the
    /// addresses of memory that holds them at these values of the symbols, distinct buffers apart unless they share the
    /// arena by plan; nothing else may touch this memory during the call.
    pub unsafe fn run(&self, table: &[u64]) {
        debug_assert_eq!(table.len(), self.layout.words());
        // SAFETY: passed on from the caller; the code is alive with `self`.
        unsafe {
            match &self.crew {
                Some(crew) => crew.run(table),
                None => (self.step)(table.as_ptr()),
            }
        }
    }

    /// As [`Compiled::run`]; adds to `spent`, which has an entry for each part, the ticks it took by the clock `now`. A part
    /// that several threads share counts the ticks of all, divided by their number.
    ///
    /// # Safety
    /// As for [`Compiled::run`].
    pub unsafe fn profile(&self, table: &[u64], now: fn() -> u64, spent: &mut [u64]) {
        debug_assert_eq!((table.len(), spent.len()), (self.layout.words(), self.parts.len()));
        if let Some(crew) = &self.crew {
            // SAFETY: as in `run`.
            return unsafe { crew.profile(table, now, spent) };
        }
        let mut before = now();
        for (part, spent) in self.parts.iter().zip(spent) {
            // SAFETY: as in `run`; parts run in order.
            unsafe { part(table.as_ptr()) }
            let after = now();
            *spent += after.saturating_sub(before);
            before = after;
        }
    }
}

fn library_name(dtype: DType) -> &'static str {
    if dtype == DType::F64 { "dlc_product_f64" } else { "dlc_product_f32" }
}

/// The function that computes some rows and columns of a product.
fn span_name(dtype: DType) -> &'static str {
    if dtype == DType::F64 { "dlc_product_span_f64" } else { "dlc_product_span_f32" }
}

/// Refuses programs whose positions do not fit the integers they are computed in.
///
/// # Errors
/// [`CodegenError::TooLarge`], which [`compile`] would give too.
pub fn check(program: &Program) -> Result<(), CodegenError> {
    let reach = |kernel: &Kernel, index: &Index| -> Option<i128> {
        let at = |size: &Size| size.eval(&program.capacity).ok().map(i128::from);
        let mut sum = at(&index.offset).unwrap_or(0);
        for (axis, stride) in &index.terms {
            sum += at(kernel.extent(*axis))? * at(stride)?;
        }
        Some(sum)
    };
    for (step, kernel) in program.kernels() {
        for value in &kernel.values {
            let index = match &value.expr {
                Expr::Random { element, .. } => element,
                Expr::Position(index) if value.dtype == DType::I32 => index,
                _ => continue,
            };
            if reach(kernel, index).is_none_or(|n| n > MOST_POSITIONS) {
                return Err(CodegenError::TooLarge(step.name.clone()));
            }
        }
    }
    Ok(())
}

fn refused(error: ModuleError) -> CodegenError {
    match error {
        ModuleError::Allocation { .. } => CodegenError::Memory(error.to_string()),
        // The compiler's own account says more than the error's line.
        ModuleError::Compilation(inner) => CodegenError::Internal(format!("{inner:?}")),
        other => CodegenError::internal(&other),
    }
}

/// Compiles functions one after another into a module.
struct Writer<'m, M: Module> {
    module: &'m mut M,
    context: Context,
    signature: Signature,
    text: bool,
    code_bytes: usize,
    clif: String,
    asm: String,
}

impl<M: Module> Writer<'_, M> {
    fn declare(&mut self, name: &str, linkage: Linkage) -> Result<FuncId, CodegenError> {
        self.module.declare_function(name, linkage, &self.signature).map_err(refused)
    }

    /// Defines the wide code of a kernel, if there is any.
    #[cfg(target_arch = "x86_64")]
    fn wide(
        &mut self,
        number: usize,
        program: &Program,
        kernel: &Kernel,
        layout: &TableLayout,
        options: &Options,
        by_columns: bool,
    ) -> Result<Option<FuncId>, CodegenError> {
        use super::wide::kernel::{Refusal, emit};
        let Some(simd) = options.cpu.simd() else { return Ok(None) };
        let code = match emit(program, kernel, layout, simd, by_columns) {
            Ok(code) => code,
            Err(Refusal::NotCovered) => return Ok(None),
            Err(Refusal::Broken(why)) => return Err(CodegenError::Internal(why)),
        };
        let signature = of_spans(&self.signature);
        let id = self.module.declare_function(&format!("wide_{number}"), Linkage::Local, &signature);
        let id = id.map_err(refused)?;
        self.module.define_function_bytes(id, 64, &code, &[]).map_err(refused)?;
        self.code_bytes += code.len();
        if self.text {
            let _ = writeln!(self.asm, "; wide_{number}: {} bytes for {simd:?}", code.len());
        }
        Ok(Some(id))
    }

    /// Defines a function that was written without Cranelift, if there is one.
    fn write(&mut self, id: FuncId, calls: Option<Calls>) -> Result<bool, CodegenError> {
        let Some(Calls { code, names }) = calls else { return Ok(false) };
        self.module.define_function_bytes(id, 16, &code, &names).map_err(refused)?;
        self.code_bytes += code.len();
        Ok(true)
    }

    /// Compiles the function in the context.
    fn define(&mut self, id: FuncId, title: &str) -> Result<(), CodegenError> {
        if self.text {
            let _ = write!(self.clif, "; {title}\n{}\n", self.context.func.display());
        }
        self.module.define_function(id, &mut self.context).map_err(refused)?;
        if let Some(code) = self.context.compiled_code() {
            self.code_bytes += code.code_buffer().len();
            if let Some(lines) = &code.vcode {
                let _ = write!(self.asm, "; {title}\n{lines}\n");
            }
        }
        Ok(())
    }

    fn clear(&mut self, id: FuncId) {
        self.module.clear_context(&mut self.context);
        self.context.set_disasm(self.text);
        self.context.func.signature = self.signature.clone();
        self.context.func.name = UserFuncName::user(0, id.as_u32());
    }
}

/// The signature of a function of the table and a span.
fn of_spans(signature: &Signature) -> Signature {
    let mut signature = signature.clone();
    signature.params.push(AbiParam::new(types::I64));
    signature.call_conv = CallConv::SystemV;
    signature
}

/// Emits a program's functions into any module.
fn emit<M: Module>(
    module: &mut M,
    program: &Program,
    layout: &TableLayout,
    options: &Options,
) -> Result<Emitted, CodegenError> {
    let mut signature = module.make_signature();
    signature.params.push(AbiParam::new(types::I64));
    let mut of_library = module.make_signature();
    of_library.params.extend([AbiParam::new(types::I64); 4]);
    let library =
        module.declare_function(library_name(program.dtype), Linkage::Import, &of_library).map_err(refused)?;
    let config = module.target_config();
    let context = module.make_context();
    let mut frontend = FunctionBuilderContext::new();
    let text = options.text;
    let mut writer =
        Writer { module, context, signature, text, code_bytes: 0, clif: String::new(), asm: String::new() };
    let (mut parts, mut spans, mut is_wide) = (Vec::new(), Vec::new(), Vec::new());
    let direct = calls::apply(writer.module, options);
    let (worth_parts, by_columns) = (worth_parts(program, options.fork_ns), by_columns(program));
    for (number, step) in program.steps.iter().enumerate() {
        let in_parts = options.cpu != Cpu::Portable && worth_parts[number];
        let id = writer.declare(&format!("part_{number}"), Linkage::Local)?;
        #[cfg(target_arch = "x86_64")]
        let wide = match &step.work {
            Work::Kernel(kernel) if in_parts || program.cost(step).total() >= options.wide_from => {
                writer.wide(number, program, kernel, layout, options, by_columns.contains(&number))?
            }
            _ => None,
        };
        #[cfg(not(target_arch = "x86_64"))]
        let wide: Option<FuncId> = None;
        parts.push(id);
        spans.push(wide);
        is_wide.push(wide.is_some());
        match &step.work {
            Work::Kernel(kernel) => {
                let calls = wide.filter(|_| direct).and_then(|wide| calls::whole(kernel, layout, wide));
                if writer.write(id, calls)? {
                    continue;
                }
                writer.clear(id);
                let wide = wide.map(|wide| writer.module.declare_func_in_func(wide, &mut writer.context.func));
                let builder = FunctionBuilder::new(&mut writer.context.func, &mut frontend);
                match wide {
                    Some(wide) => emit_wide(builder, kernel, layout, wide, config)?,
                    None => Emitter::new(builder, program, kernel, layout)?.run()?.finalize(config),
                }
            }
            Work::Product(product) => {
                if in_parts {
                    let signature = of_spans(&writer.signature);
                    let some = writer.module.declare_function(&format!("span_{number}"), Linkage::Local, &signature);
                    let some = some.map_err(refused)?;
                    let mut of_span = of_library.clone();
                    of_span.params.push(AbiParam::new(types::I64));
                    let library = writer.module.declare_function(span_name(program.dtype), Linkage::Import, &of_span);
                    let library = library.map_err(refused)?;
                    let calls = || calls::product(program, product, layout, library, options, true);
                    if !writer.write(some, direct.then(calls).flatten())? {
                        writer.clear(some);
                        writer.context.func.signature = signature;
                        let library = writer.module.declare_func_in_func(library, &mut writer.context.func);
                        let builder = FunctionBuilder::new(&mut writer.context.func, &mut frontend);
                        emit_product(builder, program, product, layout, library, options, config)?;
                        writer.define(some, &format!("spans of {}", step.name))?;
                    }
                    spans[number] = Some(some);
                }
                let calls = || calls::product(program, product, layout, library, options, false);
                if writer.write(id, direct.then(calls).flatten())? {
                    continue;
                }
                writer.clear(id);
                let library = writer.module.declare_func_in_func(library, &mut writer.context.func);
                let builder = FunctionBuilder::new(&mut writer.context.func, &mut frontend);
                emit_product(builder, program, product, layout, library, options, config)?;
            }
            Work::Order(order) => {
                writer.clear(id);
                let (name, _) = order::function(program.buffer(order.from).elem);
                let mut of_order = writer.module.make_signature();
                of_order.params.extend([AbiParam::new(types::I64); 4]);
                let function = writer.module.declare_function(name, Linkage::Import, &of_order).map_err(refused)?;
                let function = writer.module.declare_func_in_func(function, &mut writer.context.func);
                let builder = FunctionBuilder::new(&mut writer.context.func, &mut frontend);
                emit_order(builder, order, layout, function, config)?;
            }
        }
        writer.define(id, &step.name)?;
    }
    let step = writer.declare("step", Linkage::Export)?;
    if writer.write(step, direct.then(|| calls::step(&parts)))? {
        let Writer { code_bytes, clif, asm, .. } = writer;
        return Ok(Emitted { step, parts, spans, wide: is_wide, code_bytes, clif, asm });
    }
    writer.clear(step);
    let callees: Vec<_> =
        parts.iter().map(|id| writer.module.declare_func_in_func(*id, &mut writer.context.func)).collect();
    let mut builder = FunctionBuilder::new(&mut writer.context.func, &mut frontend);
    emit_step(&mut builder, &callees);
    builder.finalize(config);
    writer.define(step, "the step")?;
    let Writer { code_bytes, clif, asm, .. } = writer;
    Ok(Emitted { step, parts, spans, wide: is_wide, code_bytes, clif, asm })
}
