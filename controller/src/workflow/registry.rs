//! Which steps, effects and courses exist: the one list that engine, crash test and API go by.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use helix_inventory::plan::{StepKind, WorkflowKind};

use super::course::Course;
use super::effect::{Effect, EffectKind};
use super::step::Step;

/// Everything the engine can run.
#[derive(Default)]
pub struct Registry {
    steps: BTreeMap<StepKind, Arc<dyn Step>>,
    effects: BTreeMap<EffectKind, Arc<dyn Effect>>,
    courses: HashMap<WorkflowKind, Arc<dyn Course>>,
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a step.
    pub fn add_step(&mut self, step: impl Step) {
        self.steps.insert(step.kind(), Arc::new(step));
    }

    /// Adds an effect.
    pub fn add_effect(&mut self, effect: impl Effect) {
        self.effects.insert(effect.kind(), Arc::new(effect));
    }

    /// Sets the course of a kind of workflow.
    pub fn set_course(&mut self, kind: WorkflowKind, course: impl Course) {
        self.courses.insert(kind, Arc::new(course));
    }

    /// The step of a kind.
    #[must_use]
    pub fn step(&self, kind: StepKind) -> Option<&Arc<dyn Step>> {
        self.steps.get(&kind)
    }

    /// The effect of a kind.
    #[must_use]
    pub fn effect(&self, kind: EffectKind) -> Option<&Arc<dyn Effect>> {
        self.effects.get(&kind)
    }

    /// The course of a kind.
    #[must_use]
    pub fn course(&self, kind: WorkflowKind) -> Option<&Arc<dyn Course>> {
        self.courses.get(&kind)
    }

    /// Effects that a step names and nobody can settle: must be empty.
    #[must_use]
    pub fn unsettleable(&self) -> Vec<(StepKind, EffectKind)> {
        let mut missing = Vec::new();
        for (kind, step) in &self.steps {
            for part in step.effects() {
                if !self.effects.contains_key(&part.kind) {
                    missing.push((*kind, part.kind));
                }
            }
        }
        missing
    }
}
