//! How much control flow a function has for a compiler. `size` asks before a module is compiled, and compares the
//! answer with its limits.
//!
//! A compiler has to know which value each local has wherever control flow joins. [`of`] walks a function once and
//! adds up what that takes. For each value, it counts the basic blocks that the value lives through. For each value
//! that has to be chosen at a join, it counts the edges that lead there. So a function of ten thousand locals and as
//! many branches costs little if each local is used in one place, as in debug builds. Ten KiB of nested blocks around
//! something that changes the same locals cost much.
//!
//! The walk takes time in proportion to what it counts, and stops at a limit.

use wasmparser::{
    BinaryReaderError, BlockType, FrameKind, FuncToValidate, FuncValidatorAllocations,
    FunctionBody, Operator, OperatorsReader, ValidatorResources, WasmModuleResources,
};

/// How much control flow a function has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Flow {
    /// Values times the basic blocks that they live through.
    pub lives: u64,
    /// Values times the edges to the joins that choose them.
    pub choices: u64,
}

/// A block, a loop, a function, an `if` or one of its arms.
struct Node {
    /// The one that it is in. The function is in itself.
    parent: u32,
    depth: u32,
    /// The innermost loop here, itself included.
    in_loop: Option<u32>,
    /// The edges to its label, including the edge into the node.
    edges: u64,
    /// The values that are set in it, if it is a loop.
    set: u64,
    /// The basic block behind its end.
    end: Option<u32>,
}

/// The last use of a local within a node.
struct Use {
    node: u32,
    block: u32,
    /// The previous use, in a node around this one.
    before: Option<u32>,
}

/// Uses of locals, of one sort: any use, or setting one.
struct Trail {
    uses: Vec<Use>,
    /// The last use of each local.
    last: Vec<Option<u32>>,
}

struct Walk {
    nodes: Vec<Node>,
    /// The open nodes that have a label, outermost first.
    labels: Vec<u32>,
    here: u32,
    /// How many basic blocks there have been.
    block: u32,
    used: Trail,
    set: Trail,
    flow: Flow,
}

/// Counts the control flow of a function, and validates its body on the way. Stops soon after one number exceeds
/// `most`.
pub(super) fn of(
    function: FuncToValidate<ValidatorResources>,
    body: &FunctionBody<'_>,
    allocations: FuncValidatorAllocations,
    most: Flow,
) -> Result<(Flow, FuncValidatorAllocations), BinaryReaderError> {
    let mut validator = function.into_validator(allocations);
    let mut reader = body.get_binary_reader();
    validator.read_locals(&mut reader)?;
    let mut walk = Walk::new(validator.len_locals() as usize);
    let mut operators = OperatorsReader::new(reader);
    while !operators.eof() {
        let (operator, at) = operators.read_with_offset()?;
        walk.step(&operator, |depth| {
            let frame = validator.get_control_frame(depth as usize);
            frame.map_or(0, |frame| {
                let is_loop = frame.kind == FrameKind::Loop;
                arity(frame.block_type, is_loop, validator.resources())
            })
        });
        validator.op(at, &operator)?;
        if is_new_block(&operator) {
            walk.flow.lives += u64::from(validator.operand_stack_height());
        }
        if walk.flow.lives > most.lives || walk.flow.choices > most.choices {
            return Ok((walk.flow, validator.into_allocations()));
        }
    }
    operators.finish()?;
    Ok((walk.flow, validator.into_allocations()))
}

/// The values that a branch to a label brings along.
fn arity(of: BlockType, is_loop: bool, resources: &ValidatorResources) -> u64 {
    match of {
        BlockType::Empty => 0,
        BlockType::Type(_) => u64::from(!is_loop),
        BlockType::FuncType(index) => {
            let ty = resources.sub_type_at(index).map(|ty| ty.unwrap_func());
            let values = ty.map(|ty| match is_loop {
                true => ty.params().len(),
                false => ty.results().len(),
            });
            values.unwrap_or(0) as u64
        }
    }
}

fn is_new_block(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::Block { .. }
            | Operator::TryTable { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::Else
            | Operator::End
            | Operator::Br { .. }
            | Operator::BrIf { .. }
            | Operator::BrTable { .. }
            | Operator::BrOnNull { .. }
            | Operator::BrOnNonNull { .. }
            | Operator::Return
            | Operator::Unreachable
    )
}

impl Trail {
    fn new(locals: usize) -> Self {
        Self {
            uses: Vec::new(),
            last: vec![None; locals],
        }
    }

    fn node(&self, at: Option<u32>) -> Option<u32> {
        at.map(|at| self.uses[at as usize].node)
    }

    fn block(&self, at: Option<u32>) -> u32 {
        at.map_or(0, |at| self.uses[at as usize].block)
    }

    /// Notes a use in an open node. `last` was the last use in an open node.
    fn note(&mut self, local: u32, last: Option<u32>, node: u32, block: u32) -> Option<u32> {
        let at = match last {
            Some(at) if self.uses[at as usize].node == node => {
                self.uses[at as usize].block = block;
                at
            }
            _ => {
                self.uses.push(Use {
                    node,
                    block,
                    before: last,
                });
                self.uses.len() as u32 - 1
            }
        };
        self.last[local as usize] = Some(at);
        Some(at)
    }
}

impl Walk {
    fn new(locals: usize) -> Self {
        let function = Node {
            parent: 0,
            depth: 0,
            in_loop: None,
            edges: 1,
            set: 0,
            end: None,
        };
        Self {
            nodes: vec![function],
            labels: vec![0],
            here: 0,
            block: 0,
            used: Trail::new(locals),
            set: Trail::new(locals),
            flow: Flow::default(),
        }
    }

    fn node(&self, node: u32) -> &Node {
        &self.nodes[node as usize]
    }

    fn node_mut(&mut self, node: u32) -> &mut Node {
        &mut self.nodes[node as usize]
    }

    fn is_closed(&self, node: u32) -> bool {
        self.node(node).end.is_some()
    }

    fn open(&mut self, is_loop: bool) -> u32 {
        let new = self.nodes.len() as u32;
        let around = self.node(self.here);
        self.nodes.push(Node {
            parent: self.here,
            depth: around.depth + 1,
            in_loop: if is_loop { Some(new) } else { around.in_loop },
            edges: 1,
            set: 0,
            end: None,
        });
        self.here = new;
        new
    }

    fn close(&mut self, node: u32) {
        let block = self.block;
        let node = self.node_mut(node);
        node.end = Some(block);
        let (set, edges, parent) = (node.set, node.edges, node.parent);
        // If nothing leads back, nothing is chosen at the head.
        if edges > 1 {
            self.flow.choices += set * edges;
        }
        self.here = parent;
    }

    /// A branch to the label at this depth.
    fn branch(&mut self, depth: u32, arity: u64) {
        self.flow.choices += arity;
        // A sound module has such a label.
        let label = self.labels.len().checked_sub(1 + depth as usize);
        if let Some(label) = label {
            let label = self.labels[label];
            self.node_mut(label).edges += 1;
        }
    }

    fn step(&mut self, operator: &Operator<'_>, arity: impl Fn(u32) -> u64) {
        self.block += u32::from(is_new_block(operator));
        match operator {
            Operator::LocalGet { local_index } => self.local(*local_index, false),
            Operator::LocalSet { local_index } | Operator::LocalTee { local_index } => {
                self.local(*local_index, true);
            }
            Operator::Block { .. } | Operator::TryTable { .. } => {
                let node = self.open(false);
                self.labels.push(node);
            }
            Operator::Loop { .. } => {
                let node = self.open(true);
                self.labels.push(node);
            }
            Operator::If { .. } => {
                let node = self.open(false);
                self.node_mut(node).edges += 1;
                self.labels.push(node);
                // The first arm. The second becomes its sibling.
                self.open(false);
            }
            Operator::Else => {
                self.close(self.here);
                self.open(false);
            }
            Operator::End => {
                self.flow.choices += arity(0);
                if let Some(label) = self.labels.pop() {
                    if self.here != label {
                        self.close(self.here);
                    }
                    self.close(label);
                }
            }
            Operator::Br { relative_depth }
            | Operator::BrIf { relative_depth }
            | Operator::BrOnNull { relative_depth }
            | Operator::BrOnNonNull { relative_depth } => {
                self.branch(*relative_depth, arity(*relative_depth));
            }
            Operator::BrTable { targets } => {
                let all = targets.targets().flatten();
                for depth in all.chain([targets.default()]) {
                    self.branch(depth, arity(depth));
                }
            }
            _ => {}
        }
    }

    /// A use of a local.
    fn local(&mut self, local: u32, is_set: bool) {
        // A sound module has such a local.
        if local as usize >= self.used.last.len() {
            return;
        }
        let mut last = self.used.last[local as usize];
        let mut was_used = last.is_some();
        if let Some((parent, end, _)) = self.leave(self.used.node(last)) {
            last = self.in_open(&self.used, last);
            // The earlier value lives on around the node that is left.
            self.flow.lives += u64::from(end - self.used.block(last));
            self.enter(self.used.node(last), parent, false);
            last = self.used.note(local, last, parent, end);
            was_used = true;
        }
        // The first value of a local is a constant, which need not live.
        if was_used || !is_set {
            self.flow.lives += u64::from(self.block - self.used.block(last));
        }
        self.enter(self.used.node(last), self.here, false);
        self.used.note(local, last, self.here, self.block);

        let mut last = self.set.last[local as usize];
        if let Some((parent, end, choices)) = self.leave(self.set.node(last)) {
            self.flow.choices += choices;
            last = self.in_open(&self.set, last);
            self.enter(self.set.node(last), parent, true);
            last = self.set.note(local, last, parent, end);
        }
        if is_set {
            self.enter(self.set.node(last), self.here, true);
            self.set.note(local, last, self.here, self.block);
        }
    }

    /// For a value from a closed node: the open node around it, the block behind the last end, and the edges to the
    /// joins between.
    fn leave(&mut self, from: Option<u32>) -> Option<(u32, u32, u64)> {
        let mut node = from?;
        let (mut left, mut choices) = (None, 0);
        while let Some(end) = self.node(node).end {
            let Node {
                parent,
                in_loop,
                edges,
                ..
            } = *self.node(node);
            self.flow.lives += 1;
            // Nothing joins behind a loop, or behind a block that only one edge leaves.
            if in_loop != Some(node) && edges > 1 {
                choices += edges;
            }
            left = Some(end);
            node = parent;
        }
        left.map(|end| (node, end, choices))
    }

    /// The last use in an open node.
    fn in_open(&self, trail: &Trail, mut last: Option<u32>) -> Option<u32> {
        while let Some(at) = last
            && self.is_closed(trail.uses[at as usize].node)
        {
            last = trail.uses[at as usize].before;
        }
        last
    }

    /// A value enters the loops around this node that are not around the node of its last use.
    fn enter(&mut self, from: Option<u32>, node: u32, is_set: bool) {
        let depth = from.map(|from| self.node(from).depth);
        let mut around = self.node(node).in_loop;
        while let Some(at) = around
            && Some(self.node(at).depth) > depth
        {
            // The head of a loop comes before the branches that lead back to it.
            match is_set {
                true => self.node_mut(at).set += 1,
                false => self.flow.lives += HEAD,
            }
            around = self.node(self.node(at).parent).in_loop;
        }
    }
}

/// What a value at the head of a loop costs, in basic blocks.
const HEAD: u64 = 16;
