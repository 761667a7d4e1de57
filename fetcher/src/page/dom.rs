//! A document tree in one vector, filled by the HTML parser through [`TreeSink`].
//!
//! Nodes point at each other by index, so that no depth of nesting makes anything recursive, dropping
//! included. Template contents hang below their template element, which is how parsers without templates see
//! them. The tree only measures itself; who stops at a bound is the parser's driver.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};

use html5ever::interface::{ElemName, ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::StrTendril;
use html5ever::{Attribute, LocalName, Namespace, QualName, ns};

/// An index into the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NodeId(u32);

/// No node: the tree never grows this far.
const NONE: NodeId = NodeId(u32::MAX);

pub(super) const DOCUMENT: NodeId = NodeId(0);

/// Of one element; honest ones stay below 60. Whoever looks for one looks at all before it, and a second `body` is
/// compared with the first attribute by attribute.
const MAX_ATTRIBUTES: usize = 500;

/// One element.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) name: QualName,
    pub(super) attributes: Vec<Attribute>,
    /// The form the parser associated it with.
    pub(super) form: Option<NodeId>,
    annotation_xml_integration_point: bool,
}

#[derive(Debug)]
enum Data {
    Element(Box<Element>),
    Text(StrTendril),
    Comment(StrTendril),
    /// The document and processing instructions.
    Other,
}

#[derive(Debug)]
struct Node {
    parent: NodeId,
    first: NodeId,
    last: NodeId,
    previous: NodeId,
    next: NodeId,
    depth: u32,
    data: Data,
}

/// The finished tree.
#[derive(Debug)]
pub(super) struct Dom {
    nodes: Vec<Node>,
}

impl Dom {
    pub(super) fn element(&self, id: NodeId) -> Option<&Element> {
        match &self.node(id)?.data {
            Data::Element(element) => Some(element),
            Data::Text(_) | Data::Comment(_) | Data::Other => None,
        }
    }

    pub(super) fn text(&self, id: NodeId) -> Option<&str> {
        match &self.node(id)?.data {
            Data::Text(text) => Some(text),
            Data::Element(_) | Data::Comment(_) | Data::Other => None,
        }
    }

    pub(super) fn comment(&self, id: NodeId) -> Option<&str> {
        match &self.node(id)?.data {
            Data::Comment(text) => Some(text),
            Data::Element(_) | Data::Text(_) | Data::Other => None,
        }
    }

    pub(super) fn parent(&self, id: NodeId) -> Option<NodeId> {
        self.node(id).map(|node| node.parent).and_then(present)
    }

    pub(super) fn first_child(&self, id: NodeId) -> Option<NodeId> {
        self.node(id).map(|node| node.first).and_then(present)
    }

    pub(super) fn next_sibling(&self, id: NodeId) -> Option<NodeId> {
        self.node(id).map(|node| node.next).and_then(present)
    }

    /// All nodes below `root`, in tree order.
    pub(super) fn below(&self, root: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let mut at = Some(root);
        std::iter::from_fn(move || {
            at = at.and_then(|id| self.after(id, root));
            at
        })
    }

    fn after(&self, id: NodeId, root: NodeId) -> Option<NodeId> {
        if let Some(child) = self.first_child(id) {
            return Some(child);
        }
        let mut at = id;
        while at != root {
            if let Some(next) = self.next_sibling(at) {
                return Some(next);
            }
            at = self.parent(at)?;
        }
        None
    }

    fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0 as usize)
    }
}

impl Element {
    /// The local name of an HTML element; empty for one of SVG or MathML.
    pub(super) fn html(&self) -> &str {
        if self.name.ns == ns!(html) { &self.name.local } else { "" }
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|attribute| attribute.name.ns == ns!() && &*attribute.name.local == name)
            .map(|attribute| &*attribute.value)
    }
}

fn present(id: NodeId) -> Option<NodeId> {
    (id != NONE).then_some(id)
}

/// The tree while it grows.
#[derive(Debug)]
pub(super) struct Growing {
    nodes: RefCell<Vec<Node>>,
    deepest: Cell<u32>,
    latest: Cell<u32>,
}

impl Growing {
    pub(super) fn new() -> Self {
        let growing = Self { nodes: RefCell::new(Vec::new()), deepest: Cell::new(0), latest: Cell::new(0) };
        growing.add(Data::Other);
        growing
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.borrow().len()
    }

    /// The largest depth a node was appended at.
    pub(super) fn deepest(&self) -> u32 {
        self.deepest.get()
    }

    /// The depth at which the last node was appended: about where the parser is.
    pub(super) fn latest(&self) -> u32 {
        self.latest.get()
    }

    fn add(&self, data: Data) -> NodeId {
        let mut nodes = self.nodes.borrow_mut();
        // The driver stops long before this saturates.
        let id = NodeId(u32::try_from(nodes.len()).unwrap_or(u32::MAX - 1));
        nodes.push(Node {
            parent: NONE,
            first: NONE,
            last: NONE,
            previous: NONE,
            next: NONE,
            depth: 0,
            data,
        });
        id
    }

    fn change<T>(&self, id: NodeId, change: impl FnOnce(&mut Node) -> T) -> Option<T> {
        self.nodes.borrow_mut().get_mut(id.0 as usize).map(change)
    }

    fn look<T>(&self, id: NodeId, look: impl FnOnce(&Node) -> T) -> Option<T> {
        self.nodes.borrow().get(id.0 as usize).map(look)
    }

    fn detach(&self, id: NodeId) {
        let Some((parent, previous, next)) = self.change(id, |node| {
            let links = (node.parent, node.previous, node.next);
            (node.parent, node.previous, node.next) = (NONE, NONE, NONE);
            links
        }) else {
            return;
        };
        match present(previous) {
            Some(previous) => self.change(previous, |node| node.next = next),
            None => self.change(parent, |node| node.first = next),
        };
        match present(next) {
            Some(next) => self.change(next, |node| node.previous = previous),
            None => self.change(parent, |node| node.last = previous),
        };
    }

    /// Links a detached node in before `next`, or as the last child when `next` is none.
    fn link(&self, parent: NodeId, id: NodeId, next: NodeId) {
        let previous = match present(next) {
            Some(next) => self.change(next, |node| std::mem::replace(&mut node.previous, id)),
            None => self.change(parent, |node| std::mem::replace(&mut node.last, id)),
        }
        .unwrap_or(NONE);
        match present(previous) {
            Some(previous) => self.change(previous, |node| node.next = id),
            None => self.change(parent, |node| node.first = id),
        };
        let depth = self.look(parent, |node| node.depth).unwrap_or(0).saturating_add(1);
        self.deepest.set(self.deepest.get().max(depth));
        self.latest.set(depth);
        self.change(id, |node| {
            (node.parent, node.previous, node.next, node.depth) = (parent, previous, next, depth);
        });
    }

    /// Puts a child before `next` (none: at the end); text joins the text before it.
    fn insert(&self, parent: NodeId, next: NodeId, child: NodeOrText<NodeId>) {
        let id = match child {
            NodeOrText::AppendNode(id) => {
                self.detach(id);
                id
            }
            NodeOrText::AppendText(text) => {
                let before = match present(next) {
                    Some(next) => self.look(next, |node| node.previous),
                    None => self.look(parent, |node| node.last),
                };
                let joined = self.change(before.unwrap_or(NONE), |node| match &mut node.data {
                    Data::Text(kept) => {
                        kept.push_tendril(&text);
                        true
                    }
                    Data::Element(_) | Data::Comment(_) | Data::Other => false,
                });
                if joined == Some(true) {
                    return;
                }
                self.add(Data::Text(text))
            }
        };
        self.link(parent, id, next);
    }
}

/// A copy of an element's name: atoms are cheap to copy, and no borrow of the tree is held.
#[derive(Debug)]
pub(super) struct Name(QualName);

impl ElemName for Name {
    fn ns(&self) -> &Namespace {
        &self.0.ns
    }

    fn local_name(&self) -> &LocalName {
        &self.0.local
    }
}

impl TreeSink for Growing {
    type Handle = NodeId;
    type Output = Dom;
    type ElemName<'a> = Name;

    fn finish(self) -> Dom {
        Dom { nodes: self.nodes.into_inner() }
    }

    fn parse_error(&self, _message: Cow<'static, str>) {}

    fn get_document(&self) -> NodeId {
        DOCUMENT
    }

    fn elem_name(&self, target: &NodeId) -> Name {
        let name = self.look(*target, |node| match &node.data {
            Data::Element(element) => Some(element.name.clone()),
            Data::Text(_) | Data::Comment(_) | Data::Other => None,
        });
        // The parser never asks for the name of anything but an element.
        Name(name.flatten().unwrap_or_else(|| QualName::new(None, ns!(), LocalName::default())))
    }

    fn create_element(&self, name: QualName, mut attributes: Vec<Attribute>, flags: ElementFlags) -> NodeId {
        attributes.truncate(MAX_ATTRIBUTES);
        attributes.shrink_to_fit();
        self.add(Data::Element(Box::new(Element {
            name,
            attributes,
            form: None,
            annotation_xml_integration_point: flags.mathml_annotation_xml_integration_point,
        })))
    }

    fn create_comment(&self, text: StrTendril) -> NodeId {
        self.add(Data::Comment(text))
    }

    fn create_pi(&self, _target: StrTendril, _data: StrTendril) -> NodeId {
        self.add(Data::Other)
    }

    fn append(&self, parent: &NodeId, child: NodeOrText<NodeId>) {
        self.insert(*parent, NONE, child);
    }

    fn append_based_on_parent_node(
        &self,
        element: &NodeId,
        previous_element: &NodeId,
        child: NodeOrText<NodeId>,
    ) {
        let parent = self.look(*element, |node| node.parent).and_then(present);
        match parent {
            Some(parent) => self.insert(parent, *element, child),
            None => self.insert(*previous_element, NONE, child),
        }
    }

    fn append_doctype_to_document(&self, _name: StrTendril, _public: StrTendril, _system: StrTendril) {}

    fn get_template_contents(&self, target: &NodeId) -> NodeId {
        *target
    }

    fn same_node(&self, one: &NodeId, other: &NodeId) -> bool {
        one == other
    }

    fn set_quirks_mode(&self, _mode: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &NodeId, child: NodeOrText<NodeId>) {
        if let Some(parent) = self.look(*sibling, |node| node.parent).and_then(present) {
            self.insert(parent, *sibling, child);
        }
    }

    fn add_attrs_if_missing(&self, target: &NodeId, attributes: Vec<Attribute>) {
        self.change(*target, |node| {
            if let Data::Element(element) = &mut node.data {
                for attribute in attributes.into_iter().take(MAX_ATTRIBUTES) {
                    let room = element.attributes.len() < MAX_ATTRIBUTES;
                    if room && !element.attributes.iter().any(|kept| kept.name == attribute.name) {
                        element.attributes.push(attribute);
                    }
                }
            }
        });
    }

    fn associate_with_form(&self, target: &NodeId, form: &NodeId, _nodes: (&NodeId, Option<&NodeId>)) {
        self.change(*target, |node| {
            if let Data::Element(element) = &mut node.data {
                element.form = Some(*form);
            }
        });
    }

    fn remove_from_parent(&self, target: &NodeId) {
        self.detach(*target);
    }

    fn reparent_children(&self, node: &NodeId, new_parent: &NodeId) {
        while let Some(child) = self.look(*node, |node| node.first).and_then(present) {
            self.detach(child);
            self.link(*new_parent, child, NONE);
        }
    }

    fn is_mathml_annotation_xml_integration_point(&self, handle: &NodeId) -> bool {
        self.look(*handle, |node| match &node.data {
            Data::Element(element) => element.annotation_xml_integration_point,
            Data::Text(_) | Data::Comment(_) | Data::Other => false,
        })
        .unwrap_or(false)
    }
}
